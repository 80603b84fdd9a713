#!/usr/bin/env bash
# Makes a Debian machine from the distribution's packages: FOLDER/{vm.img,vmlinuz,initrd}. It runs guest.sh out of the tar archive on its second disk.
# Usage: rootfs.sh FOLDER MIRROR      The folder is complete or not there; its name should carry this file's hash.
set -eu
folder=$1 mirror=$2
mkdir -p "${folder%/*}"
work=$(mktemp -d "${folder%/*}/vm-build-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
root=$work/root
for attempt in 1 2 3; do # a mirror is at times away for a moment
  timeout -k 10 900 debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,dbus,udev,initramfs-tools,linux-image-cloud-amd64,containerd,runc,crun,ca-certificates,libssl3t64,busybox-static,procps,jq \
    trixie "$root" "$mirror" >"$work/log" 2>&1 && break
  [ "$attempt" -lt 3 ] || { tail -n 20 "$work/log" >&2; exit 1; }
  rm -rf "$root"
  sleep $((attempt * 10))
done

echo edge >"$root/etc/hostname"
echo '/dev/vda / ext4 defaults 0 1' >"$root/etc/fstab"
: >"$root/etc/machine-id"
for unit in serial-getty@.service getty@.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
cat >"$root/etc/systemd/system/guest.service" <<'END'
[Unit]
Description=Test
After=containerd.service
[Service]
ExecStart=/bin/sh -c 'mkdir -p /run/guest && tar -xf /dev/vdb -C /run/guest && exec bash /run/guest/guest.sh 3>/dev/ttyS1'
StandardOutput=journal+console
StandardError=journal+console
TimeoutStopSec=5
END
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -sf ../guest.service "$root/etc/systemd/system/multi-user.target.wants/guest.service"
cp "$root"/boot/vmlinuz-* "$work/vmlinuz"
cp "$root"/boot/initrd.img-* "$work/initrd"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,locale} "$root/dev" "$root"/boot/*
mkdir "$root/dev"
mke2fs -q -t ext4 -d "$root" "$work/vm.img" 3G
rm -rf "$root" "$work/log"
mv -T "$work" "$folder" 2>/dev/null || [ -e "$folder/vm.img" ] # another run may have been first
