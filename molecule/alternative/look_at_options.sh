#!/usr/bin/env bash
# Print what the variables of the scenario made of the host.
set -euo pipefail
cat /etc/devpi/devpi-server.yml
readlink /srv/opt/devpi/current
tr '\0' '\n' <"/proc/$(systemctl show --property=MainPID --value devpi)/environ" | grep WHEELHOUSE_PROOF
openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates/upstream-*.crt
