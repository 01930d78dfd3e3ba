#!/usr/bin/env bash
# Print what the variables of the scenario made of the host.
set -euo pipefail
cat /etc/devpi/devpi-server.yml
readlink /srv/opt/devpi/current
tr '\0' '\n' <"/proc/$(systemctl show --property=MainPID --value devpi)/environ" | grep WHEELHOUSE_PROOF
openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates/wheelhouse-devpi-upstream-*.crt
# With the log that the verification rotated away.
pages=$(grep --no-filename '/+simple/' /var/log/nginx/devpi.access.log*)
cached=$(grep -c '"cache":"[A-Z]' <<<"$pages") || [ $? = 1 ]  # 1 is that it counted none.
echo "pages from a cache: $cached"
systemctl show --property=MemoryMax devpi.service
timer=$(systemctl is-active devpi-health.timer) || [ $? = 3 ]  # 3 is that it is not.
echo "devpi-health.timer: $timer"
