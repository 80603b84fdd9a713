#!/usr/bin/env bash
# Installs the Debian package on a whole machine, Debian's kernel and systemd in qemu, and tries what only a whole machine shows (tests/vm/guest.sh):
# systemd, cgroup v2, runc and crun, upgrade and removal, a reboot, a power cut. The last line is "VM: N passed, N failed".
# Software emulation only: it needs no rights on /dev/kvm and says nothing about speed. Usage: sudo scripts/test-vm.sh
set -u
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "scripts/test-vm.sh: run as root, debootstrap needs it" >&2; exit 1; }
[ "$(uname -m)" = x86_64 ] || { echo "scripts/test-vm.sh: the machine it boots is an x86_64, this one is not" >&2; exit 1; }
limit=$((40 * 60)) # seconds, for all boots together; two cores that others use as well took 27 minutes
work=$(mktemp -d "${RECONCILER_TEST_ROOT:-/tmp}/vm-XXXXXX")
report=$work/report qemu=''
cleanup() {
  trap - EXIT
  [ -z "$qemu" ] || kill -9 "$qemu" 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cannot() { # cannot WHY: no machine to boot can be had here
  echo "VM: not made: $1"
  exit 1
}
give_up() {
  echo "VM: FAIL $1"
  if [ -e "$work/console" ]; then echo "-- end of the machine's console"; tail -n 60 "$work/console" | tr -d '\r'; fi
  echo "VM: $(grep -c '^PASS ' "$report" 2>/dev/null || true) passed, $(($(grep -c '^FAIL ' "$report" 2>/dev/null || true) + 1)) failed"
  exit 1
}
: >"$report"
scripts/install.sh qemu-system-x86 debootstrap e2fsprogs || cannot "packages could not be installed"
base="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/reconciler/vm-$(sha256sum tests/vm/rootfs.sh | cut -c1-12)"
if [ ! -e "$base/vm.img" ]; then
  echo "making a Debian machine in $base (once, some minutes)"
  mirror=$(scripts/mirror.sh) && tests/vm/rootfs.sh "$base" "$mirror" || cannot "no Debian could be installed from the mirror"
fi

mkdir "$work/payload"
cp tests/vm/*.sh "$work/payload/"
version=$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' Directory.Build.props)
for step in 1 2; do # the same program twice, under a higher version
  deb=$(scripts/package.sh "$version+vm$step") && mv "$deb" "$work/payload/$step.deb" || give_up "scripts/package.sh failed"
done
tests=artifacts/bin/Reconciler.Containerd.Tests/release dotnet=$(dirname "$(readlink -f "$(command -v dotnet)")")
mkdir -p "$work/library/dotnet/shared"
[ -e "$tests/Reconciler.Containerd.Tests.dll" ] || dotnet build tests/Reconciler.Containerd.Tests -c Release --nologo -v q || give_up "the client library's tests could not be built"
cp -r "$tests" "$work/library/tests" && cp -r "$dotnet/host" "$work/library/dotnet/" && cp -r "$dotnet/shared/Microsoft.NETCore.App" "$work/library/dotnet/shared/" ||
  give_up "the client library's tests could not be copied"
tar -C "$work/library" -cf "$work/payload/library.tar" .
rm -rf "$work/library"
tar -C "$work/payload" -cf "$work/payload.tar" .
truncate -s %512 "$work/payload.tar"
cp --sparse=always "$base/vm.img" "$work/disk.img"

# boot MARK: runs the machine until it goes off, and off it must go after it has reported MARK. At MARK "cut" its power is cut.
boot() {
  qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 2048 -smp 2 -display none -monitor none -no-reboot -nic none \
    -kernel "$base/vmlinuz" -initrd "$base/initrd" -append "root=/dev/vda rw console=ttyS0 quiet" \
    -drive "file=$work/disk.img,if=virtio,format=raw,cache=writethrough" -drive "file=$work/payload.tar,if=virtio,format=raw,readonly=on" \
    -serial "file:$work/console" -serial "file:$work/serial" </dev/null >"$work/qemu.log" 2>&1 &
  qemu=$!
  while kill -0 "$qemu" 2>/dev/null; do
    if [ "$1" = cut ] && grep -q '^MARK cut' "$work/serial" 2>/dev/null; then
      kill -9 "$qemu"
      break
    fi
    [ "$SECONDS" -lt "$limit" ] || give_up "the machine did not get to \"$1\" within $limit s"
    sleep 0.3
  done
  wait "$qemu" 2>/dev/null
  qemu=''
  tr -d '\r' <"$work/serial" >>"$report"
  tr -d '\r' <"$work/serial" | grep -v '^MARK'
  grep -q "^MARK $1" "$work/serial" || { cat "$work/qemu.log"; give_up "the machine went off before \"$1\""; }
  echo "-- $1 at ${SECONDS}s"
}
SECONDS=0
boot reboot
boot cut
boot end
passed=$(grep -c '^PASS ' "$report") failed=$(grep -c '^FAIL ' "$report")
if [ "$failed" -ne 0 ]; then echo "-- end of the machine's console"; tail -n 100 "$work/console" | tr -d '\r'; fi
echo "VM: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
