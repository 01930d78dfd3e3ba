#!/bin/sh
# renew.sh DOMAIN acme|own-ca: make the certificate due, start the service of the timer while requests come in, and print
# what load.py counted, with the serial numbers of the certificates before and after.
set -eu
domain=$1
case $2 in
  acme)
    pair=/etc/devpi-acme/server.pem ca=/srv/acme/roots.crt
    curl --silent --show-error --insecure https://localhost:15000/roots/0 >"$ca"
    sed -i '1i renew_before_expiry = 3650 days' /etc/devpi-acme/renewal/*.conf
    ;;
  own-ca)
    pair=/etc/devpi-ca/server.pem ca=/etc/devpi-ca/ca.crt
    # One of 10 days, where 30 are wanted.
    sed '/^sh -s renew/s/ 90 30 / 10 100 /' /usr/local/sbin/devpi-certificate | sh 2>/dev/null
    sleep 2
    ;;
esac
serial() { openssl x509 -in "$pair" -noout -serial | cut -d= -f2; }
old=$(serial)
result=$(python3 /srv/tls/load.py "$domain" "$ca" 20000000 systemctl start devpi-certificate.service)
echo "$result" | sed "s/}\$/, \"old\": \"$old\", \"new\": \"$(serial)\"}/"
