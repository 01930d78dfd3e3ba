#!/usr/bin/env bash
# On the controller: restore the backup of the one host to the bare one, migrate that to devpi 7, and back that up as well.
# Prints the rows that faults.py prints there. What Ansible says goes to the file $1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
log=$1
hosts=../../tests/hosts/hosts
play() {
  ansible-playbook --inventory inventory.yml --inventory inventory_bare.yml --limit backup-bare "$@" >>"$log" 2>&1 ||
    { tail -n 60 "$log" >&2; exit 1; }
}
on_host() { "$hosts" ssh backup-bare "$@"; }

mkdir -p "$(dirname "$log")"
: >"$log"
on_host 'date "+{\"time\": %s, \"seen\": 0}" >/srv/backup-test/begun.json'
play wheelhouse.devpi.restore
on_host python3 /srv/backup-test/faults.py bare
play wheelhouse.devpi.migrate --extra-vars devpi_server_lock=devpi-server-7.txt
on_host python3 /srv/backup-test/faults.py seven
if grep 'WARNING\]' "$log" >&2; then exit 1; fi
# The key of the storage, and what opens it.
on_host 'umask 077 && cd /srv/backup-test &&
  python3 -c "import json; print(json.load(open(\"s3.json\"))[\"AWS_SECRET_ACCESS_KEY\"])" >s3-key &&
  bash search_secrets.sh /srv/backup-test/s3-key' >&2
