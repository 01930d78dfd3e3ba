#!/usr/bin/env bash
# On a host with devpi_server_health_timeout=5: a slow server is left alone, and one that hangs is restarted.
set -euo pipefail
main_pid() { systemctl show --property=MainPID --value devpi; }
uptime() { echo $(($(cut -d. -f1 /proc/uptime) - $(systemctl show --property=ActiveEnterTimestampMonotonic --value devpi) / 1000000)); }
socket=$(sed -n 's/^ *unix-socket: //p' /etc/devpi/devpi-server.yml)
answers() { curl --silent --max-time 5 --header 'Accept: application/json' --unix-socket "$socket" http://localhost/+api | grep apiconfig >/dev/null; }
old=$(main_pid)
trap 'kill -CONT "$old" 2>/dev/null || [ $? = 1 ]' EXIT  # 1 is that it is gone.

# Nobody judges a server that may still be starting.
while [ "$(uptime)" -lt 61 ]; do sleep 1; done
systemctl start devpi-health.service
kill -STOP "$old"
systemctl start --no-block devpi-health.service
sleep 8
kill -CONT "$old"
while [ "$(systemctl show --property=ActiveState --value devpi-health.service)" = activating ]; do sleep 0.5; done
[ "$(main_pid)" = "$old" ]
echo "a server that was silent for 8 s is left alone"

kill -STOP "$old"
begin=$SECONDS
until [ "$(main_pid)" != "$old" ] && answers; do
  [ $((SECONDS - begin)) -lt 180 ] || { echo "no other server after 180 s"; exit 1; }
  sleep 1
done
journalctl --boot --no-pager --unit devpi-health.service --grep 'did not answer 3 times' --output cat | tail -n 1
echo "a server that hung is back after $((SECONDS - begin)) s"
