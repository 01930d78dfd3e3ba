#!/bin/sh
# wrong_pair.sh DOMAIN: fail unless the service fails where the key is another one, and nginx goes on with what it has; or
# where $SECRET stands in the journal, or in a file that is not for root alone.
set -eu
pair=/etc/devpi-ca/server.pem
served() { openssl s_client -connect 127.0.0.1:443 -servername "$1" </dev/null 2>/dev/null | openssl x509 -noout -serial; }
before=$(served "$1")
cp --preserve "$pair" "$pair.right"
sed -i '/PRIVATE KEY/,$d' "$pair"
cat /etc/devpi-ca/ca.key >>"$pair"
if systemctl start devpi-certificate.service; then
  echo "The service accepted a wrong key."
  exit 1
fi
journalctl --unit=devpi-certificate.service --no-pager --output=cat | grep --quiet 'the key does not belong to the certificate'
mv "$pair.right" "$pair"
[ "$(served "$1")" = "$before" ]
systemctl start devpi-certificate.service

systemctl is-enabled --quiet devpi-certificate.timer
systemctl is-active --quiet devpi-certificate.timer

# grep ends with 1 where it finds nothing, and with 2 where a file went away meanwhile.
journal=$(journalctl --no-pager | grep --fixed-strings --count -e "$SECRET" || [ $? = 1 ])
files=$(grep --recursive --no-messages --fixed-strings --files-with-matches -e "$SECRET" /etc /var /usr/local /tmp /run || [ $? -le 2 ])
[ "$journal" = 0 ]
case $files in
  "" | /etc/devpi-acme/certbot.ini) ;;
  *)
    echo "The secret stands in: $files"
    exit 1
    ;;
esac
[ "$(find /etc/devpi-acme /var/log/devpi-acme ! -user root -o -perm /077 ! -type l -type f)" = "" ]
[ "$(stat --format=%a /etc/devpi-acme)" = 700 ]
