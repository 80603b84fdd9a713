#!/usr/bin/env bash
# Builds everything and runs every test on real servers. The last line is "N passed, N failed".
# Usage: sudo scripts/test.sh [PROJECT...]      PROJECT: Core, Containerd, Sources, Agent, EndToEnd, VM (a whole machine in qemu)
set -u
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "scripts/test.sh: run as root, containers need it" >&2; exit 1; }
command -v dotnet >/dev/null || { echo "scripts/test.sh: the .NET 10 SDK is missing (dotnet is not on PATH)" >&2; exit 1; }
projects=("$@") named=$#
[ ${#projects[@]} -gt 0 ] || projects=(Core Sources Containerd Agent EndToEnd VM)

root=$(mktemp -d /tmp/rct-XXXXXX) # every fixture lives below it, so one sweep finds all
export RECONCILER_TEST_ROOT=$root

sweep() {
  trap - EXIT
  trap '' INT TERM
  for pid in $(pgrep -f -- "$root" || true); do
    [ "$pid" = $$ ] || kill -9 "$pid" 2>/dev/null
  done
  for file in "$root"/*/namespace; do
    [ -e "$file" ] || continue
    ns=$(cat "$file")
    [ -n "$ns" ] || continue
    for group in /sys/fs/cgroup/"$ns" /sys/fs/cgroup/*/"$ns"; do
      [ -d "$group" ] || continue
      find "$group" -name freezer.state -exec sh -c 'echo THAWED >"$1"' sh {} \; 2>/dev/null # nothing frozen dies
      find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null | xargs -r kill -9 2>/dev/null
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
    done
    rm -rf "/run/containerd/runc/$ns"
  done
  awk -v r="$root/" 'index($2, r) == 1 {print $2}' /proc/mounts | sort -r | xargs -r -n1 umount -l 2>/dev/null
  rm -rf "$root"
}
trap sweep EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

passed=0 failed=0
finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit $?
}

scripts/install.sh containerd runc e2fsprogs docker-registry busybox-static git jq clang zlib1g-dev procps zstd lua5.4 prometheus || { failed=1; finish; }
case " ${projects[*]} " in
  *" Agent "*) scripts/install.sh chromium zsh || { failed=1; finish; } ;; # the page is looked at, completion typed into
esac

step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }

case " ${projects[*]} " in
  *" Sources "* | *" Agent "* | *" EndToEnd "*)
    step "Kubernetes API server"
    tests/control-plane/build.sh >"$root/control-plane.log" 2>&1 || { cat "$root/control-plane.log"; failed=1; finish; }
    ;;
esac

step "build"
build=$(mktemp "$root/build.XXXXXX")
if ! dotnet build Reconciler.sln -c Release --nologo -v q >"$build" 2>&1; then
  grep -E 'error|warn' "$build" | sort -u | head -40 || cat "$build"
  failed=1
  finish
fi
case " ${projects[*]} " in
  *" EndToEnd "* | *" VM "*)
    step "image" # with the binary that the end-to-end tests run
    scripts/image.sh || { failed=1; finish; }
    ;;
esac

run() { # run LABEL PROJECT ARGUMENT...
  local label=$1 project=$2 log ok bad skipped code
  shift 2
  step "$label"
  log="$root/$label.log"
  timeout -k 30 1800 "artifacts/bin/Reconciler.$project.Tests/release/Reconciler.$project.Tests" --no-ansi --no-progress "$@" >"$log" 2>&1 &
  wait $!
  code=$?
  # "total: 12 / failed: 0 / succeeded: 12 / skipped: 0"
  ok=$(sed -n 's/^ *succeeded: *\([0-9]*\).*/\1/p' "$log" | tail -n 1)
  bad=$(sed -n 's/^ *failed: *\([0-9]*\).*/\1/p' "$log" | tail -n 1)
  skipped=$(sed -n 's/^ *skipped: *\([0-9]*\).*/\1/p' "$log" | tail -n 1)
  if [ "$code" -ne 0 ] || [ "${skipped:-0}" -ne 0 ] || [ -z "$ok" ]; then
    cat "$log"
    [ -n "$bad" ] && [ "$bad" -gt 0 ] || bad=1 # it crashed, hung or ran nothing
  fi
  passed=$((passed + ${ok:-0}))
  failed=$((failed + ${bad:-0}))
  echo "$label: ${ok:-0} passed, ${bad:-0} failed, ${skipped:-0} skipped"
}

again() { # again SERIES PROJECT ARGUMENT...: the tests of a project on another containerd than the machine's
  local series=$1 project=$2 bin
  shift 2
  if bin=$(scripts/containerd-versions.sh "$series"); then
    "$bin/containerd" --version
    RECONCILER_TEST_CONTAINERD=$bin run "$project on containerd $series" "$project" "$@"
  else
    echo "$project on containerd $series: not run, there is none to be had here" # a mirror moves on; the machine's own version has been tested
  fi
}

machine() { # the package on a whole machine; its last line is "VM: N passed, N failed"
  local log="$root/VM.log" ok bad
  step VM
  { timeout -k 30 2700 scripts/test-vm.sh 2>&1 | tee "$log"; } &
  wait $!
  if [ "$named" -eq 0 ] && grep -q '^VM: not made: ' "$log"; then
    echo "VM: not run, no Debian to boot can be had here" # a mirror that is away is no fault of ours
    return
  fi
  ok=$(sed -n 's/^VM: \([0-9]*\) passed, .*/\1/p' "$log" | tail -n 1)
  bad=$(sed -n 's/^VM: .* \([0-9]*\) failed$/\1/p' "$log" | tail -n 1)
  passed=$((passed + ${ok:-0}))
  failed=$((failed + ${bad:-1})) # it ended without a word
}

for project in "${projects[@]}"; do
  if [ "$project" = VM ]; then
    machine
    continue
  fi
  [ "$project" != Containerd ] || containerd --version
  run "$project" "$project"
  case "$project" in
    Containerd)
      for series in 1.7 2.1; do
        again "$series" Containerd --filter-not-namespace Reconciler.Containerd.Tests.Registries --filter-not-trait containerd=none
      done
      ;;
    EndToEnd) again 2.1 EndToEnd --filter-trait containerd=every ;;
  esac
done
step "done"
finish
