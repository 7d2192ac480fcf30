#!/bin/bash
# Fetches PostgreSQL 17 and 18, servers and clients, for the long suites, where they are neither installed nor fetched
# before: Debian's own packages of newer releases, unpacked below /var/cache and made to use the libraries they came with.
# Nothing of the system is changed, except that mmdebstrap and patchelf are installed. The status is 0 if both are there in
# the end; else the last line says why not.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=/var/cache/securyflex-backup/postgresql
majors='17 18'
attempts=3

# The release of Debian that has a major.
release_of() {
  case $1 in
    17) echo trixie ;;
    18) echo forky ;;
  esac
}

refuse() {
  echo "$1" >&2
  exit 1
}

missing() {
  for major in $majors; do
    [ -x "/usr/lib/postgresql/$major/bin/postgres" ] || [ -x "$cache/$major/usr/lib/postgresql/$major/bin/postgres" ] ||
      echo "$major"
  done
}

# Debian's archive as this machine's apt knows it: a mirror that can be reached from here.
mirror() {
  apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian //p' | head -n 1
}

# Unpacks one major beside its place, tries it, and only then gives it its name.
fetch() {
  local major=$1 release=$2 mirror=$3 partial=$cache/$1.partial place=$cache/$1
  local keys=/usr/share/keyrings/debian-archive-keyring.gpg
  rm -rf "$partial"
  mmdebstrap --quiet --variant=extract --aptopt='Acquire::Check-Valid-Until "false"' \
    --aptopt='APT::Install-Recommends "false"' --include="postgresql-$major,postgresql-client-$major" \
    "$release" "$partial" "deb [signed-by=$keys] $mirror $release main" || return 1
  find "$partial" -mindepth 1 -maxdepth 1 ! -name usr -exec rm -rf {} +
  rm -rf "$partial"/usr/share/{doc,man,info}
  local libraries loader program
  libraries=$(dirname "$(find "$partial/usr/lib" -maxdepth 2 -name 'libc.so.6' | head -n 1)")
  loader=$(find "$libraries" -maxdepth 1 -name 'ld-linux*' | head -n 1)
  for program in "$partial/usr/lib/postgresql/$major/bin"/*; do
    [ "$(head -c 4 "$program")" = $'\x7fELF' ] || continue
    patchelf --force-rpath --set-interpreter "${loader/"$partial"/"$place"}" \
      --set-rpath "${libraries/"$partial"/"$place"}" "$program" || return 1
  done
  for program in postgres initdb pg_dump pg_dumpall pg_restore psql; do
    "$loader" --library-path "$libraries" "$partial/usr/lib/postgresql/$major/bin/$program" --version >/dev/null || return 1
  done
  # The server runs as another user.
  chmod -R a+rX "$partial"
  rm -rf "$place"
  mv -T "$partial" "$place"
}

[ -n "$(missing)" ] || exit 0
[ "$(id -u)" = 0 ] || refuse "PostgreSQL $(missing | paste -sd ' ') cannot be fetched: that takes root."
command -v apt-get >/dev/null && grep -q '^ID=debian$' /etc/os-release ||
  refuse "PostgreSQL $(missing | paste -sd ' ') cannot be fetched: that takes Debian and its apt-get."
mkdir -p "$cache"
# One at a time; who waited finds it done.
exec 9>"$cache/lock"
flock 9
[ -n "$(missing)" ] || exit 0
echo "Fetching PostgreSQL $(missing | paste -sd ' ') for the long suites into $cache …" >&2
if ! command -v mmdebstrap >/dev/null || ! command -v patchelf >/dev/null; then
  node "$here/apt.mjs" mmdebstrap patchelf || refuse 'mmdebstrap and patchelf could not be installed.'
fi
[ -n "$(mirror)" ] || apt-get update -qq || refuse 'apt knows no package lists, and could not get them.'
mirror=$(mirror)
[ -n "$mirror" ] || refuse "apt's sources name no archive of Debian."
for major in $(missing); do
  for ((attempt = 1; ; attempt += 1)); do
    fetch "$major" "$(release_of "$major")" "$mirror" && break
    rm -rf "$cache/$major.partial"
    [ "$attempt" -lt "$attempts" ] || refuse "PostgreSQL $major could not be fetched in $attempts attempts."
    sleep $((attempt * 10))
  done
done
