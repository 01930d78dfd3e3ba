#!/usr/bin/env bash
# ask_nginx.sh URL HTTP_PORT CA FILES: print what nginx answers on this host, a line a question.
set -uo pipefail
url=$1 http_port=$2 ca=$3 files=$4
name=${url#https://}
port=${name##*:}
[ "$port" != "$name" ] || port=443
name=${name%:*}

ask() {
  curl --silent --cacert "$ca" --connect-to "$name:$port:127.0.0.1:$port" --connect-to "$name:80:127.0.0.1:$http_port" "$@"
}
status() { ask --output /dev/null --write-out '%{http_code}\n' "$@"; }

status "$url/+changelog/0"
status "$url//+changelog/0"
curl --silent --insecure --connect-to "::127.0.0.1:$port" https://unknown.test/ --output /dev/null
echo "unknown host: curl ended with $?"
status --head "http://$name/root/pypi"
file=$(cd "$files" && find . -name '*.whl' -print -quit)
status --range 0-9 "$url/${file#./}"
api=$(ask --fail --header 'X-Outside-Url: https://evil.test' --header 'Accept: application/json' "$url/+api") || echo "no API"
grep --count evil.test <<<"$api"
exit 0
