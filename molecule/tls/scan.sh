#!/bin/sh
# scan.sh DOMAIN: print what nginx offers, then what a server offers that has all of OpenSSL, then whether nginx tells
# browsers to stay with HTTPS, then whether it agrees to ML-KEM, which sslscan does not know.
set -eu
cd /srv/tls
python3 scan.py "$1" 443
systemd-run --quiet --unit=weak --property=Type=exec openssl s_server -accept 4433 -quiet -min_protocol TLSv1 \
  -cipher ALL:COMPLEMENTOFALL:@SECLEVEL=0 -cert /srv/acme/pebble.crt -key /srv/acme/pebble.key
trap 'systemctl stop weak' EXIT
until ss --listening --tcp --numeric | grep --quiet ':4433 '; do sleep 0.1; done
python3 scan.py localhost 4433
curl --silent --show-error --insecure --head --resolve "$1:443:127.0.0.1" "https://$1/" | tr -d '\r' |
  sed -n 's/^strict-transport-security: /Strict-Transport-Security /Ip' | grep . || echo "no Strict-Transport-Security"
openssl s_client -connect 127.0.0.1:443 -servername "$1" -groups X25519MLKEM768 </dev/null 2>&1 |
  grep --quiet 'TLS1.3 group: X25519MLKEM768' && echo "ML-KEM" || echo "no ML-KEM"
