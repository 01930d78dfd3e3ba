#!/usr/bin/env bash
# ldap.sh URL INDEX PRIVATE_INDEX USER PASSWORD: log in, upload, and read what is for a group as people of the LDAP server,
# as a user of devpi and as root, while the LDAP server runs and while it does not. Prints who did what and how devpi
# answered.
set -euo pipefail
url=$1 index=$2 private=$3 user=$4 password=$5
root=$(cat /etc/devpi/root-password)
ask() { # WORDS CURL_ARGUMENT... : the password of whom comes by the standard input.
  local words=$1
  shift
  echo "$words: $(curl --silent --insecure --max-time 30 --output /dev/null --write-out '%{http_code}' "$@")"
}
login() { # USER PASSWORD WORDS
  printf '{"user": "%s", "password": "%s"}' "$1" "$2" |
    ask "$3" --header 'Accept: application/json' --header 'Content-Type: application/json' --data @- "$url/+login"
}
upload() { # USER PASSWORD VERSION WORDS
  printf 'user = "%s:%s"' "$1" "$2" | ask "$4" --config - --form :action=file_upload --form name=by-ldap \
    --form "version=$3" --form filetype=sdist --form "content=@/etc/hostname;filename=by-ldap-$3.tar.gz" "$url/$index/"
}
read_as() { # USER PASSWORD WORDS
  printf 'user = "%s:%s"' "$1" "$2" | ask "$3" --config - "$url/$private/+simple/"
}
browse_as() { # USER PASSWORD WORDS : by the page for a login, as a browser does it.
  local jar
  jar=$(mktemp)
  printf 'username=%s&password=%s&submit=' "$1" "$2" |
    ask "$3 logs in by the page" --header 'Accept: text/html' --data @- --cookie-jar "$jar" "$url/+login?goto_url=/"
  echo | ask "$3 reads with the cookie" --header 'Accept: text/html' --cookie "$jar" "$url/$private"
  rm "$jar"
}
login ada of-ada "ada logs in"
login ada of-bob "ada with a wrong password"
login ada '' "ada without a password"
login '*' of-ada "a pattern for everybody"
upload ada of-ada 1.0 "ada, who is in the group, uploads"
upload bob of-bob 1.1 "bob, who is not, uploads"
upload ada of-bob 1.2 "ada uploads with a wrong password"
read_as ada of-ada "ada, who is in the group, reads"
read_as bob of-bob "bob, who is not, reads"
browse_as ada of-ada ada
browse_as bob of-bob bob
systemctl stop slapd
login ada of-ada "ada logs in while LDAP is down"
login root "$root" "root logs in while LDAP is down"
upload "$user" "$password" 1.3 "a user of devpi uploads while LDAP is down"
journalctl --unit devpi --no-pager | grep --only-matching "LDAP gave no answer, so 'ada' cannot log in by it" | tail -1
systemctl start slapd
login ada of-ada "ada logs in again"
