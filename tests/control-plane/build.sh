#!/usr/bin/env bash
# Builds the Kubernetes API server of the tests and fetches etcd 3.4, etcd 3.5 and kubectl, all from Debian packages that are unpacked
# into a cache beside the system: nothing is installed, no root is needed. Prints the folder with controlplane, kubectl, etcd-3.4, etcd-3.5.
# The first time takes some minutes and 170 MB of downloads; afterwards it answers at once.
# Usage: tests/control-plane/build.sh      the cache is ${XDG_CACHE_HOME:-$HOME/.cache}/reconciler/control-plane
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/reconciler/control-plane
key=$(cat "$here"/*.go "$here/build.sh" | sha256sum | cut -c1-16)
out=$cache/$key
if [ -e "$out/ready" ]; then echo "$out"; exit 0; fi
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9 # somebody else may be building it
if [ -e "$out/ready" ]; then echo "$out"; exit 0; fi

mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/*$' || true)}
[ -n "$mirror" ] || { echo "build.sh: no Debian mirror in apt's sources; set DEBIAN_MIRROR to one" >&2; exit 1; }

# apt SUITE ARGUMENT...: apt-get with that suite alone and no knowledge of what is installed. A mirror may be a frozen copy, hence the dates.
apt() {
  local a=$cache/apt-$1
  mkdir -p "$a"/lists/partial "$a"/archives/partial "$a"/etc/apt.conf.d "$a"/etc/preferences.d "$a"/etc/trusted.gpg.d
  : >"$a/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-valid-until=no check-date=no] $mirror $1 main" >"$a/sources.list"
  apt-get -qq -o Dir::State="$a" -o Dir::State::Lists="$a/lists" -o Dir::State::status="$a/status" -o Dir::Cache="$a" \
    -o Dir::Cache::archives="$a/archives" -o Dir::Etc="$a/etc" -o Dir::Etc::SourceList="$a/sources.list" -o Dir::Etc::SourceParts=- \
    -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=root "${@:2}"
}

# again SUITE ARGUMENT...: the same, tried three times, since a mirror is at times away for a moment.
again() {
  local attempt
  for attempt in 1 2 3; do
    apt "$@" >&2 && return 0
    sleep $((attempt * 5))
  done
  echo "build.sh: $mirror $1 does not answer" >&2
  return 1
}

# fetch SUITE FOLDER PACKAGE...: downloads and unpacks them.
fetch() {
  local suite=$1 folder=$2 debs deb
  shift 2
  debs=$(mktemp -d "$cache/debs.XXXXXX")
  cd "$debs"
  again "$suite" download "$@"
  cd "$cache"
  mkdir -p "$folder"
  for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$folder"; done
  rm -rf "$debs"
}

again sid update
again bookworm update
tree=$cache/tree
unused='^golang-(github-(cloudflare-circl|klauspost-compress|pierrec-lz4|aws-aws-sdk-go-v2|nxadm-tail|pjbgf-sha1cd|google-pprof|nats-io-nats-server|charmbracelet-bubbletea|apache-arrow-go|envoyproxy-go-control-plane)-dev|golang-x-tools|golang-x-image-dev|google-cloud-dev|google-api-dev|gonum-v1-(plot|gonum)-dev|mongodb-mongo-driver-dev)$'
if [ ! -e "$tree/ready" ]; then
  rm -rf "$tree" "$cache"/debs.*
  # What these depend on, but of that only Go sources and tools; the large ones left out belong to features nobody here calls.
  closure=$(apt sid -s --no-install-recommends install golang-go golang-k8s-apiextensions-apiserver-dev kube-openapi |
    sed -n 's/^Inst \([^ ]*\).*/\1/p' | grep -E '^(golang-|kube-openapi$)' |
    grep -vE "$unused")
  # shellcheck disable=SC2086
  fetch sid "$tree" $closure
  touch "$tree/ready"
fi

work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
fetch sid "$work/sid" kubectl etcd-server
fetch bookworm "$work/bookworm" etcd-server

# The published OpenAPI definitions cover only the extensions types; server-side apply needs those of every kind served.
src=$work/src/controlplane
mkdir -p "$src/openapi" "$work/home"
cp "$here"/*.go "$src/"
: >"$work/header"
goroot=$(echo "$tree"/usr/lib/go-1.*)
export GOROOT=$goroot GOPATH=$work:$tree/usr/share/gocode GO111MODULE=off GOCACHE=$cache/go-build GOFLAGS=-buildvcs=false GOTOOLCHAIN=local CGO_ENABLED=0
export HOME=$work/home PATH=$goroot/bin:$PATH
cd "$src"
"$tree/usr/bin/openapi-gen" --go-header-file "$work/header" --output-dir "$src/openapi" --output-pkg controlplane/openapi \
  --output-file generated.go --report-filename "$work/report" \
  k8s.io/api/core/v1 k8s.io/api/coordination/v1 k8s.io/api/events/v1 k8s.io/api/rbac/v1 k8s.io/api/admissionregistration/v1 \
  k8s.io/api/apps/v1 k8s.io/api/policy/v1 k8s.io/api/networking/v1 k8s.io/api/flowcontrol/v1 k8s.io/apimachinery/pkg/api/resource \
  k8s.io/apimachinery/pkg/util/intstr k8s.io/apimachinery/pkg/apis/meta/v1 k8s.io/apimachinery/pkg/runtime k8s.io/apimachinery/pkg/version >&2
go build -trimpath -ldflags '-s -w' -o "$work/controlplane" . >&2

rm -rf "$out"
mkdir -p "$out"
install -m 755 "$work/controlplane" "$work/sid/usr/bin/kubectl" "$out/"
install -m 755 "$work/sid/usr/bin/etcd" "$out/etcd-3.5"
install -m 755 "$work/bookworm/usr/bin/etcd" "$out/etcd-3.4"
touch "$out/ready"
echo "$out"
