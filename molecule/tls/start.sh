#!/bin/sh
# start.sh [KID]: run pebble, which wants the binding of KID with $EAB_KEY where it is given, its DNS, in which every name
# is this host, and what stands in for devpi.
set -eu
mkdir -p /srv/acme /srv/index/+files/root/pypi/+f
head --bytes=20000000 /dev/zero >/srv/index/+files/root/pypi/+f/large
cd /srv/acme
make() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 "$@"; }
make -keyout ca.key -out ca.crt -subj '/CN=The CA of the ACME server' -addext keyUsage=critical,keyCertSign
make -CA ca.crt -CAkey ca.key -keyout pebble.key -out pebble.crt -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE
binding='"externalAccountBindingRequired": false'
if [ -n "${1:-}" ]; then
  binding="\"externalAccountBindingRequired\": true, \"externalAccountMACKeys\": {\"$1\": \"$EAB_KEY\"}"
  # What the host trusts, certbot trusts without a file.
  cp ca.crt /usr/local/share/ca-certificates/acme.crt
  update-ca-certificates
fi
cat >pebble.json <<JSON
{"pebble": {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000", "httpPort": 80, "tlsPort": 443,
  "certificate": "/srv/acme/pebble.crt", "privateKey": "/srv/acme/pebble.key", "ocspResponderURL": "", $binding}}
JSON
systemd-run --unit=upstream python3 /srv/tls/upstream.py
systemd-run --unit=dns pebble-challtestsrv -defaultIPv6 '' -defaultIPv4 127.0.0.1 -dns01 127.0.0.1:8053 \
  -http01 '' -https01 '' -tlsalpn01 '' -management 127.0.0.1:8055
systemd-run --unit=pebble --setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=0 \
  pebble -config /srv/acme/pebble.json -dnsserver 127.0.0.1:8053
