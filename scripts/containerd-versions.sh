#!/usr/bin/env bash
# Prints the folder of the containerd, ctr and shim of a release series, fetched from the machine's Debian mirror into a cache beside no checkout.
# Nothing is installed. Usage: sudo scripts/containerd-versions.sh 1.7|2.1
set -eu
case "${1:-}" in
  1.7) suites=(trixie) ;;
  2.1) suites=(sid forky) ;; # both move on: the series after this one is tried by hand first and then named here
  *) echo "scripts/containerd-versions.sh: no recipe for containerd '${1:-}': say 1.7 or 2.1" >&2; exit 1 ;;
esac
series=$1
folder="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/reconciler/containerd-$series"

version() { "$1/containerd" --version 2>/dev/null | awk '{print $3}'; }
fits() { [ -x "$1/ctr" ] && [ -x "$1/containerd-shim-runc-v2" ] && case "$(version "$1")" in "$series".*) ;; *) false ;; esac; }

if fits "$folder"; then
  echo "$folder"
  exit 0
fi
[ "$(id -u)" -eq 0 ] || { echo "scripts/containerd-versions.sh: run as root, apt needs it" >&2; exit 1; }
mirror=$("$(dirname "$0")/mirror.sh")

mkdir -p "${folder%/*}"
work=$(mktemp -d "${folder%/*}/fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fetch() { # fetch SUITE: an apt of its own, which knows nothing but this suite and touches nothing of the machine's
  local apt="$work/$1"
  mkdir -p "$apt"/{lists/partial,archives/partial,etc/apt.conf.d,etc/preferences.d,etc/trusted.gpg.d,deb}
  : >"$apt/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-valid-until=no] $mirror $1 main" >"$apt/sources.list"
  local options=(-qq -o Dir::State="$apt" -o Dir::State::Lists="$apt/lists" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt"
    -o Dir::Cache::archives="$apt/archives" -o Dir::Etc="$apt/etc" -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=-
    -o Acquire::Languages=none -o Acquire::Retries=5 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 -o APT::Sandbox::User=root)
  timeout -k 10 180 apt-get "${options[@]}" update &&
    (cd "$apt/deb" && timeout -k 10 300 apt-get "${options[@]}" download containerd && dpkg -x ./*.deb "$apt/root") || return 1
  mkdir "$apt/bin"
  cp "$apt"/root/usr/bin/{containerd,ctr,containerd-shim-runc-v2} "$apt/bin/"
}

for suite in "${suites[@]}"; do
  if fetch "$suite" >&2; then
    if fits "$work/$suite/bin"; then
      if ! fits "$folder"; then # another run may have been first
        rm -rf "$folder"
        mv -T "$work/$suite/bin" "$folder" 2>/dev/null || fits "$folder"
      fi
      echo "$folder"
      exit 0
    fi
    echo "scripts/containerd-versions.sh: $suite has containerd $(version "$work/$suite/bin"), not $series" >&2
  else
    echo "scripts/containerd-versions.sh: $mirror did not give containerd of $suite" >&2
  fi
done
exit 1
