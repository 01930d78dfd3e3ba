#!/bin/sh
# What a blog post leaves on a host: a unit, its process and data of somebody, and a vhost for the domain. `blog_post.sh
# remove` takes it away.
set -eu
if [ "${1:-}" = remove ]; then
  systemctl disable --quiet --now devpi.service
  rm -rf /etc/systemd/system/devpi.service /opt/blog /srv/disk/devpi /etc/nginx/conf.d/devpi.conf
  systemctl daemon-reload
  exit
fi
mkdir -p /opt/blog /srv/disk/devpi
echo '{}' >/srv/disk/devpi/.nodeinfo
cat >/opt/blog/devpi-server <<'PROGRAM'
#!/usr/bin/python3
import http.server
http.server.ThreadingHTTPServer(("127.0.0.1", 3141), http.server.SimpleHTTPRequestHandler).serve_forever()
PROGRAM
chmod 0755 /opt/blog /opt/blog/devpi-server
cat >/etc/systemd/system/devpi.service <<'UNIT'
[Service]
ExecStart=/opt/blog/devpi-server --serverdir /srv/disk/devpi
[Install]
WantedBy=multi-user.target
UNIT
printf 'server { listen 80; server_name index.test; location / { proxy_pass http://127.0.0.1:3141; } }\n' \
  >/etc/nginx/conf.d/devpi.conf
systemctl daemon-reload
systemctl enable --quiet --now devpi.service
