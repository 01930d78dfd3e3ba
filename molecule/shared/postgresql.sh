#!/usr/bin/env bash
# postgresql.sh WHEEL: run a second devpi in the sandbox of devpi.service, with its data in Debian's PostgreSQL, which it
# asks by a socket. Upload a wheel there, download it, and print whether it is the same. No role offers this: beside devpi
# 6.20, devpi-postgresql 3.0.1 loses uploads that come at the same time.
set -euo pipefail
wheel=$1 there=/srv/postgresql
IFS=- read -r name version _tag <<<"$(basename "$wheel")"
site=http://localhost socket=/run/devpi/postgresql.sock unit=/etc/systemd/system/devpi-postgresql.service
install -d "$there" "$there/plugin"
install -d -o devpi -g devpi "$there/data"
# Others may not be where root is.
cd "$there"
runuser -u postgres -- createuser devpi
runuser -u postgres -- createdb --owner devpi devpi
(
  set -a
  # shellcheck disable=SC1091 # It is on the server.
  . /etc/devpi/environment
  # What else it needs is in the release.
  /opt/devpi/uv/*/bin/uv pip install --quiet --no-config --python /opt/devpi/current/bin/python --target "$there/plugin" \
    --no-deps devpi-postgresql==3.0.1 pg8000 scramp asn1crypto
)
sed -e "s#/var/lib/devpi#$there/data#; s#^  unix-socket: .*#  unix-socket: $socket#" /etc/devpi/devpi-server.yml >"$there/devpi-server.yml"
echo '  storage: pg8000:database=devpi,user=devpi,unix_sock=/run/postgresql/.s.PGSQL.5432' >>"$there/devpi-server.yml"
sed -e "s#/var/lib/devpi#$there/data#; s#--configfile .*#--configfile $there/devpi-server.yml#; s#^Environment=PYTHONPATH=.*#&:$there/plugin#" \
  /etc/systemd/system/devpi.service >"$unit"
password=$(cat /etc/devpi/root-password)
export PYTHONPATH
PYTHONPATH=$(sed -n 's/^Environment=PYTHONPATH=//p' "$unit")
DEVPISERVER_ROOT_PASSWD=$password runuser -u devpi -- \
  /opt/devpi/current/bin/devpi-init --configfile "$there/devpi-server.yml" --no-root-pypi >/dev/null
systemctl daemon-reload
systemctl start devpi-postgresql
timeout 60 sh -c "until curl --silent --fail --output /dev/null --unix-socket $socket $site/+api; do sleep 0.2; done"
as_root() { printf 'user = "root:%s"' "$password" | curl --config - --unix-socket "$socket" --silent --show-error --fail --output /dev/null "$@"; }
as_root --request PUT --header 'Content-Type: application/json' --data '{"type": "stage", "bases": []}' "$site/root/dev"
as_root --form :action=file_upload --form "name=$name" --form "version=$version" --form filetype=bdist_wheel \
  --form pyversion=py3 --form "content=@$wheel" "$site/root/dev/"
file=$(curl --silent --fail --unix-socket "$socket" "$site/root/dev/+simple/${name//_/-}/" | grep --only-matching '+f/[^"#]*')
curl --silent --fail --unix-socket "$socket" --output "$there/downloaded" "$site/root/dev/$file"
cmp "$wheel" "$there/downloaded" && echo "downloaded what was uploaded"
runuser -u devpi -- psql --quiet --tuples-only --no-align --command 'SELECT count(*) FROM files' devpi | sed 's/$/ file in the database/'
systemctl stop devpi-postgresql
