#!/usr/bin/env bash
# Print what the variables of the scenario made of the host.
set -euo pipefail
cat /etc/devpi/devpi-server.yml
readlink /srv/opt/devpi/current
tr '\0' '\n' <"/proc/$(systemctl show --property=MainPID --value devpi)/environ" | grep WHEELHOUSE_PROOF
openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates/upstream-*.crt
echo "nginx speaks Lua: $(dpkg-query --show --showformat='${db:Status-Status}' libnginx-mod-http-lua 2>/dev/null || echo no)"
pages=$(grep '/+simple/' /var/log/nginx/devpi.access.log)
echo "pages from a cache: $(grep -c '"cache":"[A-Z]' <<<"$pages" || true)"
