#!/bin/sh
# Before and after certbot has got the first certificate, in the directory with certbot.ini:
#   acme.sh begin DIRECTORY LINEAGE DOMAIN  make what nginx starts with, which has to run before the ACME server asks it
#   acme.sh holds DIRECTORY LINEAGE DOMAIN  fail where nginx has not the certificate of the ACME server, or it has ended
# A lineage is what certbot calls a certificate and those that follow it.
set -eu
umask 077
action=$1 lineage=$3 domain=$4
cd "$2"

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
    cat "live/$lineage/fullchain.pem" "live/$lineage/privkey.pem" | cmp --quiet - server.pem
    openssl x509 -in server.pem -noout -checkend 0 >/dev/null
    ;;
esac
