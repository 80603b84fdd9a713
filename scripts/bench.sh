#!/usr/bin/env bash
# Measures agent and controller beside the bare client library and ctr, and prints a Markdown table.
# Usage: sudo scripts/bench.sh [heal|fleet|start|create|pull|idle|apply|agents|controller|memory]...
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "scripts/bench.sh: run as root, containers need it" >&2; exit 1; }
scripts/install.sh containerd runc docker-registry busybox-static procps iproute2
scripts/build.sh >&2
dotnet build tests/Reconciler.Benchmarks -c Release --nologo -v q >&2
exec artifacts/bin/Reconciler.Benchmarks/release/Reconciler.Benchmarks "$@"
