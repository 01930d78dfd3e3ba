#!/bin/sh
# The small CA in a directory of its own, and the certificate that it signs for the domain:
#   own_ca.sh make DIRECTORY DOMAIN CA_DAYS           make the CA
#   own_ca.sh holds DIRECTORY DOMAIN DAYS RENEW_DAYS  fail where there is no certificate that lasts RENEW_DAYS more
#   own_ca.sh renew DIRECTORY DOMAIN DAYS RENEW_DAYS  sign one in that case
set -eu
umask 077
action=$1 domain=$3 days=$4 renew_days=${5:-}
cd "$2"

# new SUBJECT EXTENSIONS OPTIONS...: a new key and its certificate. The domain is not among the constraints of the CA: it
# may change, and all clients would need another CA.
new() {
  subject=$1 extensions=$2
  shift 2
  openssl req -x509 -config /dev/stdin -extensions "$extensions" -days "$days" \
    -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc "$@" <<CNF
[req]
prompt = no
default_md = sha256
distinguished_name = subject

[subject]
CN = $subject

[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash

[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:$domain
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
CNF
}

holds() {
  openssl verify -CAfile ca.crt -purpose sslserver -verify_hostname "$domain" \
    -attime "$(date --date="$renew_days days" +%s)" server.pem >/dev/null 2>&1
}

sign() {
  if ! openssl x509 -in ca.crt -noout -checkend $((renew_days * 86400)) >/dev/null; then
    echo "The CA in $PWD ends in less than $renew_days days, so it signs no more: see the role devpi_nginx." >&2
    exit 1
  fi
  new devpi server -CA ca.crt -CAkey ca.key -keyout server.key.new -out server.pem.new
  # Leaf and key in one file: it is replaced in one step, so that no key ever meets the certificate of another one.
  cat server.key.new >>server.pem.new
  rm server.key.new
  mv server.pem.new server.pem
}

case $action in
  make)
    new "devpi CA of $(printf %.50s "$domain")" ca -keyout ca.key -out ca.crt.new
    mv ca.crt.new ca.crt
    ;;
  holds) holds ;;
  renew) holds || sign ;;
esac
