#!/bin/sh
# The small CA in a directory of its own, and the certificate that it signs for the domain:
#   own_ca.sh permits DIRECTORY DOMAIN                fail where there is no CA, or it may not sign for the domain; tell
#                                                     where it may sign for any
#   own_ca.sh make DIRECTORY DOMAIN CA_DAYS           make the CA, and put one for another domain aside
#   own_ca.sh holds DIRECTORY DOMAIN DAYS RENEW_DAYS  fail where there is no certificate that lasts RENEW_DAYS more
#   own_ca.sh renew DIRECTORY DOMAIN DAYS RENEW_DAYS  sign one in that case
set -eu
umask 077
action=$1 domain=$3 days=${4:-} renew_days=${5:-}
cd "$2"

# new SUBJECT EXTENSIONS OPTIONS...: a new key and its certificate. Clients trust the CA for the domain alone: whoever
# gets hold of its key plays no other site. Without the excluded addresses, it could sign for any of them.
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
extendedKeyUsage = serverAuth
nameConstraints = critical, @names
subjectKeyIdentifier = hash

[names]
permitted;DNS.1 = $domain
excluded;IP.1 = 0.0.0.0/0.0.0.0
excluded;IP.2 = 0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0

[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:$domain
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
CNF
}

# The domain that the CA may sign for; nothing where there is no CA, or it was made before this and may sign for any.
permitted() {
  openssl x509 -in ca.crt -noout -ext nameConstraints 2>/dev/null | sed -n '/^ *Permitted:/,/^ *Excluded:/s/^ *DNS://p'
}

permits() {
  [ -s ca.crt ] || return 1
  name=$(permitted)
  [ -z "$name" ] || case .$domain in *".$name") ;; *) return 1 ;; esac
}

holds() {
  openssl verify -CAfile ca.crt -purpose sslserver -verify_hostname "$domain" \
    -attime "$(date --date="$renew_days days" +%s)" server.pem >/dev/null 2>&1
}

sign() {
  if ! permits; then
    echo "The CA in $PWD may sign for $(permitted), and not for $domain: run the role devpi_nginx." >&2
    exit 1
  fi
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
  permits)
    permits
    if [ -z "$name" ]; then
      echo "The CA in $PWD was made before CAs were limited to their domain: whoever gets hold of its key plays any site" \
        "to your clients. It is kept. To replace it, move the directory away, run the role devpi_nginx, which makes" \
        "another CA, and then devpi_client on all clients, which trust that one in its place."
    fi
    ;;
  make)
    if permits; then exit; fi
    if [ -s ca.crt ]; then
      # Clients that trust it are not to trust it for another domain. Back at the old one, it is moved back by hand.
      former=former-$(permitted)-$(date +%s)
      mkdir "$former"
      mv ca.crt ca.key "$former"
    fi
    new "devpi CA of $(printf %.50s "$domain")" ca -keyout ca.key -out ca.crt.new
    mv ca.crt.new ca.crt
    ;;
  holds) holds ;;
  renew) holds || sign ;;
esac
