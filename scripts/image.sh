#!/usr/bin/env bash
# Builds the Dockerfile with buildah, without any registry: artifacts/image/reconciler.tar (an OCI archive) and the binary of it, artifacts/bin/reconciler.
# The bases are made on the spot: this machine with its SDK builds, a few Debian packages run.
# Usage: sudo scripts/image.sh [TAG]
# RECONCILER_BUILD_BASE, RECONCILER_RUNTIME_BASE: images to take as bases instead, as `docker build --build-arg` would.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "scripts/image.sh: run as root, buildah changes its root" >&2; exit 1; }
tag=${1:-localhost/reconciler:dev}
scripts/install.sh buildah clang zlib1g-dev ca-certificates >&2
work=$(mktemp -d "${RECONCILER_TEST_ROOT:-/tmp}/image-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
build() { buildah --root "$work/root" --runroot "$work/run" --storage-driver vfs "$@"; }

# base NAME FOLDER: an image of what is in the folder
base() {
  printf 'FROM scratch\nCOPY . /\n' >"$work/Base"
  build bud -q --isolation chroot -f "$work/Base" -t "localhost/$1" "$2" >/dev/null
  echo "localhost/$1"
}

arguments=()
build_base=${RECONCILER_BUILD_BASE:-}
if [ -z "$build_base" ]; then
  sdk=$(dirname "$(readlink -f "$(command -v dotnet)")")
  mkdir -p "$work/build"/{usr,etc,tmp,root/.nuget,proc,sys,dev,run,"$sdk"}
  for link in bin sbin lib lib64; do ln -s "usr/$link" "$work/build/$link"; done
  build_base=$(base build "$work/build")
  packages=${NUGET_PACKAGES:-$HOME/.nuget}
  mkdir -p "$packages"
  arguments+=(-v /usr:/usr:ro -v /etc:/etc:ro -v "$packages:/root/.nuget" --env DOTNET_CLI_HOME=/tmp)
  case "$sdk" in /usr/*) ;; *) arguments+=(-v "$sdk:$sdk:ro") ;; esac
fi

runtime_base=${RECONCILER_RUNTIME_BASE:-}
if [ -z "$runtime_base" ]; then
  . /etc/os-release
  ssl=libssl3
  [ "${VERSION_ID:-12}" -lt 13 ] || ssl=libssl3t64
  mkdir -p "$work/runtime"/{usr/lib,usr/lib64,usr/bin,etc/ssl/certs,tmp,proc,sys,dev,run,var/lib,var/log} "$work/debs"
  (cd "$work/debs" && apt-get -qq -o APT::Sandbox::User=root download libc6 libgcc-s1 "$ssl") >&2
  for link in bin lib lib64; do ln -s "usr/$link" "$work/runtime/$link"; done
  for deb in "$work"/debs/*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -C "$work/runtime" -x --keep-directory-symlink --exclude './usr/share/*' --exclude '*/gconv/*'; done
  cp -L /etc/ssl/certs/ca-certificates.crt "$work/runtime/etc/ssl/certs/"
  echo 'root:x:0:0:root:/:/sbin/nologin' >"$work/runtime/etc/passwd"
  echo 'root:x:0:' >"$work/runtime/etc/group"
  runtime_base=$(base runtime "$work/runtime")
fi

version=$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' Directory.Build.props)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
if ! build bud --isolation chroot --ignorefile .dockerignore "${arguments[@]}" \
  --build-arg BUILD_BASE="$build_base" --build-arg RUNTIME_BASE="$runtime_base" --build-arg VERSION="$version" --build-arg REVISION="$revision" \
  -t "$tag" . >"$work/log" 2>&1; then
  tail -n 40 "$work/log" >&2
  exit 1
fi
mkdir -p artifacts/image artifacts/bin
rm -f artifacts/image/reconciler.tar
build push -q "$tag" "oci-archive:$PWD/artifacts/image/reconciler.tar:$tag" >&2
container=$(build from "$tag")
install -m 0755 "$(build mount "$container")/usr/bin/reconciler" artifacts/bin/reconciler
build rm "$container" >/dev/null
echo "artifacts/image/reconciler.tar $(stat -c %s artifacts/image/reconciler.tar | awk '{printf "%.1f MiB", $1 / 1048576}'), with artifacts/bin/reconciler $(stat -c %s artifacts/bin/reconciler | awk '{printf "%.1f MiB", $1 / 1048576}')"
