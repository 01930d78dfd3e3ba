#!/bin/sh
# reload_nginx.sh FILE...: let nginx read its configuration where a file is newer than the last time that it did. Requests
# that are being answered go on to their end.
set -eu
if [ "$(systemctl show nginx --property=ActiveState --value)" = active ]; then
  read_at=$(systemctl show nginx --property=StateChangeTimestamp --value --timestamp=us+utc)
  if [ -n "$(find -L "$@" -maxdepth 0 -newermt "$read_at")" ]; then
    systemctl reload nginx
  fi
fi
