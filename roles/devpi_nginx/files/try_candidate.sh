#!/bin/sh
# What nginx would read with the candidate in the place of devpi.conf, tested before a file of nginx is touched.
set -eu
# nginx makes the logs that are not there yet. They tell who asked for what.
umask 027
candidate=$1
sites=$(mktemp -d)
# Relative includes are looked up beside the main file, so its copy has to stand there as well.
main=$(mktemp /etc/nginx/candidate.XXXXXX)
trap 'rm -rf "$sites" "$main"' EXIT

for site in /etc/nginx/sites-enabled/*; do
  case ${site##*/} in
    default | devpi.conf) ;;
    *) ln -s "$site" "$sites/" ;;
  esac
done
ln -s "$candidate" "$sites/devpi.conf"
sed -E "s#(/etc/nginx/)?sites-enabled/#$sites/#" /etc/nginx/nginx.conf >"$main"
nginx -t -q -c "$main"
