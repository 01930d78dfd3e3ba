#!/bin/sh
# A hook for DNS-01: tell pebble-challtestsrv, which answers for the DNS.
set -eu
name=_acme-challenge.$CERTBOT_DOMAIN.
case $1 in
  present) path=set-txt body="{\"host\": \"$name\", \"value\": \"$CERTBOT_VALIDATION\"}" ;;
  cleanup) path=clear-txt body="{\"host\": \"$name\"}" ;;
esac
exec curl --silent --fail --data "$body" "http://127.0.0.1:8055/$path"
