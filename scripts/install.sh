#!/usr/bin/env bash
# Installs the named Debian packages that are missing. Usage: scripts/install.sh PACKAGE...
set -eu
missing=()
for package in "$@"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
[ "$(id -u)" -eq 0 ] || { echo "scripts/install.sh: run as root, or install by hand: ${missing[*]}" >&2; exit 1; }
echo "installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then # services they bring are not started: the scripts start their own, on ports and sockets of their own
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
for attempt in 1 2 3; do # a mirror is at times away for a moment
  if apt-get -qq -o Acquire::Retries=3 update >/dev/null &&
     apt-get -qq -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold -y --no-install-recommends install "${missing[@]}" >/dev/null; then
    exit 0
  fi
  [ "$attempt" -lt 3 ] && sleep $((attempt * 10))
done
echo "scripts/install.sh: could not install ${missing[*]}" >&2
exit 1
