#!/bin/sh
# The certificate that certbot gets from an ACME server, in a directory with certbot.ini:
#   acme.sh begin DIRECTORY LINEAGE DOMAIN  make what nginx starts with, which has to run before the ACME server asks it
#   acme.sh holds DIRECTORY LINEAGE DOMAIN  fail where nginx has not the certificate of the ACME server, or it has ended
#   acme.sh renew DIRECTORY LINEAGE DOMAIN  get one where it is due
# A lineage is what certbot calls a certificate and those that follow it.
set -eu
umask 077
action=$1 lineage=$3 domain=$4
cd "$2"

# Certificate and key in one file: it is replaced in one step, so that no key ever meets the certificate of another one.
pair() {
  cat "live/$lineage/fullchain.pem" "live/$lineage/privkey.pem"
}

case $action in
  begin)
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 -subj /CN=none-yet \
      -addext "subjectAltName=DNS:$domain" -keyout server.key.new -out server.pem.new 2>/dev/null
    cat server.key.new >>server.pem.new
    rm server.key.new
    mv server.pem.new server.pem
    ;;
  holds)
    [ -e "live/$lineage/privkey.pem" ]
    pair | cmp --quiet - server.pem
    openssl x509 -in server.pem -noout -checkend 0 >/dev/null
    ;;
  renew)
    certbot certonly --quiet --config certbot.ini
    pair >server.pem.new
    if ! cmp --quiet server.pem.new server.pem; then
      python3 "${0%/*}/check_certificate.py" server.pem.new server.pem.new "$domain"
      mv server.pem.new server.pem
    fi
    ;;
esac
