#!/usr/bin/env bash
# search_secrets.sh FILE...: fail where a secret of the host, or of one of the files, stands in the journal, in a log, in the
# arguments of a process, or in a file that others can read. A file is a private key, has a line `password: SECRET`, or is
# the secret.
set -euo pipefail
secrets=$(mktemp)
said=$(mktemp)
trap 'rm -f "$secrets" "$said"' EXIT
cat /etc/devpi/root-password /etc/devpi/secret >"$secrets"
printf '\n' >>"$secrets"
# By file, because what an argument or Ansible's environment has stands in the arguments of a process.
for file in "$@"; do
  awk '
    NR == 1 {secret = $0}
    /PRIVATE KEY/ {inside = !inside; next}
    inside {secret = $0; exit}
    $1 == "password:" {secret = $2; exit}
    END {print secret}' "$file" >>"$secrets"
done
sed -i '/^$/d' "$secrets"
[ "$(wc -l <"$secrets")" = $((2 + $#)) ] || { echo "Some secret is not where it should be."; exit 1; }

found() {
  echo "A secret stands in $1."
  exit 1
}
# search_said WHERE: what was found out has to be in a file, because in a pipe nobody sees that there is none.
search_said() {
  [ -s "$said" ] || { echo "Nothing stands in $1."; exit 1; }
  if grep --fixed-strings --file "$secrets" "$said" >/dev/null; then found "$1"; else [ $? = 1 ]; fi
}
journalctl --no-pager >"$said"
search_said "the journal"
for process in /proc/[0-9]*; do
  tr '\0' '\n' <"$process/cmdline" || [ ! -e "$process" ]  # Some end meanwhile.
done >"$said" 2>/dev/null
search_said "the arguments of a process"
# 123 is what xargs makes of grep's 1, that it found nothing, and of its 2, that a file went away meanwhile.
search() { xargs -0 --no-run-if-empty grep --no-messages --fixed-strings --files-with-matches --file "$secrets" || [ $? = 123 ]; }
# -1M would be none but the empty files, because find rounds up.
leaks=$(find /etc /opt /srv /var /tmp /run -xdev -type f -perm -o+r -size -1024k -print0 | search)
[ -z "$leaks" ] || found "$leaks, which others can read"
leaks=$(find /var/log -xdev -type f -print0 | search)
[ -z "$leaks" ] || found "$leaks"
