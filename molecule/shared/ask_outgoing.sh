#!/usr/bin/env bash
# On a host with devpi_server_outgoing_ports=[443]: devpi may ask nobody on another port, and a firewall that is loaded
# anew does not change that.
set -euo pipefail
# 192.0.2.1 is nobody (RFC 5737). What counts is that the kernel counts it.
refused() { nft list chain inet devpi refuse | sed -n 's/.*counter packets \([0-9]*\) .*/\1/p'; }
before=$(refused)
if runuser -u devpi -- timeout 5 bash -c ': </dev/tcp/192.0.2.1/80' 2>/dev/null; then exit 1; fi
echo "refused on port 80: $(($(refused) - before))"
before=$(refused)
if runuser -u devpi -- timeout 1 bash -c ': </dev/tcp/192.0.2.1/443' 2>/dev/null; then exit 1; fi
echo "refused on port 443: $(($(refused) - before))"

for verb in start reload restart stop; do
  systemctl "$verb" nftables
  nft list chain inet devpi refuse | grep reject >/dev/null
  echo "the rules are there after: $verb"
done
