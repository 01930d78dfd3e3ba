#!/bin/sh
# As root, on a bare host: make it one that somebody has lived in and hardened.
set -eu
password=$1
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends nginx sudo curl >/dev/null

# A login user with a password for sudo, and the key that root has.
useradd --create-home --shell /bin/bash admin
echo "admin:$password" | chpasswd
echo 'admin ALL=(ALL:ALL) ALL' >/etc/sudoers.d/admin
install -d -m 0700 -o admin -g admin /home/admin/.ssh /home/admin/.ansible /home/admin/.ansible/tmp
install -m 0600 -o admin -g admin /root/.ssh/authorized_keys /home/admin/.ssh/

# A strict umask for all who log in, and a /tmp from which nothing runs.
sed -i 's/pam_umask.so.*/pam_umask.so umask=077/' /etc/pam.d/common-session /etc/pam.d/common-session-noninteractive
echo 'tmpfs /tmp tmpfs noexec,nosuid,nodev,mode=1777 0 0' >>/etc/fstab
# Another disk for the data: what is renamed to it or from it has to be copied.
mkdir -p /disk /srv/disk
echo '/disk /srv/disk none bind 0 0' >>/etc/fstab
systemctl daemon-reload
mount /tmp
mount /srv/disk

# The host is a client of another index, which does not answer, and root has a .netrc that Python refuses.
mkdir -p /etc/uv /root/.config/pip
printf '[global]\nindex-url = http://127.0.0.1:9/simple/\nrequire-virtualenv = true\n' >/etc/pip.conf
cp /etc/pip.conf /root/.config/pip/pip.conf
printf '[[index]]\nurl = "http://127.0.0.1:9/simple/"\ndefault = true\n' >/etc/uv/uv.toml
printf 'PIP_INDEX_URL=http://127.0.0.1:9/simple/\nPIP_NO_INDEX=1\nUV_OFFLINE=1\n' >>/etc/environment
echo 'machine 127.0.0.1 login nobody password nothing' >/root/.netrc
chmod 0644 /root/.netrc /etc/pip.conf /etc/uv/uv.toml /etc/environment

# Two sites of somebody, and a default site that is a file, and theirs.
for name in one two; do
  printf 'server { listen 80; listen [::]:80; server_name %s.test; return 200 "%s\\n"; }\n' $name $name \
    >/etc/nginx/sites-available/$name
  ln -s ../sites-available/$name /etc/nginx/sites-enabled/$name
done
rm /etc/nginx/sites-enabled/default
printf 'server { listen 80 default_server; server_name _; return 200 "the default of the host\\n"; }\n' \
  >/etc/nginx/sites-enabled/default
nginx -t -q
systemctl restart nginx

mkdir -p /var/lib/sites
cat >/etc/systemd/system/sites.service <<UNIT
[Unit]
After=nginx.service
[Service]
ExecStart=/usr/bin/python3 /usr/local/lib/sites.py watch /var/lib/sites
Restart=always
[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --quiet --now sites.service
