#!/usr/bin/env bash
# look_at_units.sh DIRECTORY URL: print what users read of devpi's data, and what nginx and devpi make of their units.
set -euo pipefail
directory=$1 url=$2

# readable USER FOLDER...: how many of the files in there a user reads, of how many. The user cannot list them.
readable() {
  local user=$1
  shift
  find "$@" -type f -print0 >/tmp/files
  # shellcheck disable=SC2016 # The shell of the user expands it.
  runuser -u "$user" -- xargs -0 sh -c 'for file; do if test -r "$file"; then echo "$file"; fi; done' sh </tmp/files >/tmp/read
  sed 's/^/read: /' /tmp/read >&2
  echo "$(wc -l </tmp/read) of $(tr -dc '\0' </tmp/files | wc -c)"
}
# Which ports devpi may ask is no secret.
others=("$directory" /etc/devpi -not -path "$directory/+files/*" -not -name network.nft)
echo "www-data reads beside the files: $(readable www-data "${others[@]}")"
echo "www-data reads of the files: $(readable www-data "$directory/+files" 2>&1 | tail -n 1)"
echo "nobody reads: $(readable nobody "$directory" /etc/devpi -not -name network.nft)"

# As logrotate does with Debian's configuration.
log=/var/log/nginx/devpi.access.log
mv "$log" "$log.1"
install --mode=0640 --owner=www-data --group=adm /dev/null "$log"
invoke-rc.d nginx rotate >/dev/null
# Until no process of nginx writes to the old one, and until what it gathered is written.
timeout 60 sh -c "while readlink /proc/[0-9]*/fd/* | grep --quiet --line-regexp --fixed-strings $log.1; do sleep 0.1; done"
curl --silent --insecure --output /dev/null --connect-to "::127.0.0.1:" "$url/+api?after-rotation"
timeout 60 sh -c "until grep --quiet after-rotation $log; do sleep 0.1; done" || [ $? = 124 ]  # The count tells.
echo "new log of nginx: $(stat --format '%a %U %G' "$log") $(grep --count after-rotation "$log")"

process=/proc/$(systemctl show --property=MainPID --value devpi)
limit=$(systemctl show --property=MemoryMax --value devpi)
peak=$(awk '$1 == "VmHWM:" {print $2 * 1024}' "$process/status")
echo "most memory so far is below half of the limit: $((peak < limit / 2)) ($peak of $limit)"
threads=$(awk '$1 == "Threads:" {print $2}' "$process/status")
tasks=$(systemctl show --property=TasksMax --value devpi)
echo "threads are below the limit: $((threads < tasks)) ($threads of $tasks)"
unknown=$(journalctl --boot --no-pager _PID=1 --grep 'Unknown (key|section)|ignoring' | grep --count -E 'devpi|nginx') || [ $? = 1 ]  # 1 is that it counted none.
echo "words of the units that systemd does not know: $unknown"
