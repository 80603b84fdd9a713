#!/usr/bin/env bash
# Publishes the Native AOT binary to artifacts/bin/reconciler. A trim or AOT warning is an error.
set -eu
cd "$(dirname "$0")/.."
command -v dotnet >/dev/null || { echo "scripts/build.sh: the .NET 10 SDK is missing (dotnet is not on PATH)" >&2; exit 1; }
command -v clang >/dev/null || command -v gcc >/dev/null || scripts/install.sh clang
[ -e /usr/include/zlib.h ] || scripts/install.sh zlib1g-dev
case "$(uname -m)" in
  x86_64) rid=linux-x64 ;;
  aarch64) rid=linux-arm64 ;;
  *) echo "scripts/build.sh: no Native AOT for $(uname -m)" >&2; exit 1 ;;
esac
compiler=clang
command -v clang >/dev/null || compiler=gcc
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! dotnet publish src/Reconciler.Agent -c Release -r "$rid" -p:CppCompilerAndLinker="$compiler" --nologo -v q >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
if grep -E 'warning (IL|AOT|NETSDK)' "$log" >&2; then
  echo "scripts/build.sh: the warnings above would fail at run time" >&2
  exit 1
fi
mkdir -p artifacts/bin
install -m 0755 "artifacts/publish/Reconciler.Agent/release_$rid/reconciler" artifacts/bin/reconciler
echo "artifacts/bin/reconciler $(stat -c %s artifacts/bin/reconciler | awk '{printf "%.1f MiB", $1 / 1048576}')"
