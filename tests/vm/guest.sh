#!/bin/bash
# Runs inside the machine, once per boot. On descriptor 3 go "PASS name", "FAIL name: why" and, at the end of each boot, "MARK what the host is to do".
set -u
cd /run/guest || exit 1
export LC_ALL=C HOME=/root
memory=/var/lib/guest
mkdir -p "$memory"
boot=$(($(cat "$memory/boot" 2>/dev/null || echo 0) + 1))
echo "$boot" >"$memory/boot"
. ./lib.sh

case $boot in
  1) . ./boot1.sh ;;
  2) . ./boot2.sh ;;
  *) . ./boot3.sh ;;
esac
