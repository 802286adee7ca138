#!/bin/sh
# Turns a Debian root ($1) into one for launcher and importer.
set -eu
root=$1

# Relative links: virt-handler goes through them from outside, below /proc/PID/root.
ln -sfn ../run "$root/var/run"
ln -sfn ../run/lock "$root/var/lock"

# KubeVirt runs guests as user 107, whatever that number is to Debian.
sed -i '/^[^:]*:[^:]*:107:/d' "$root/etc/passwd" "$root/etc/group"
echo 'qemu:x:107:107:qemu:/home/qemu:/bin/bash' >>"$root/etc/passwd"
echo 'qemu:x:107:' >>"$root/etc/group"
mkdir -p "$root/home/qemu" "$root/usr/libexec/kubevirt" "$root/var/lib/kubevirt-node-labeller" "$root/etc/libvirt/hooks"
chown 107:107 "$root/home/qemu"

cp "$root/usr/sbin/libvirtd" "$root/usr/libexec/kubevirt/virtqemud"
drivers=$root/usr/lib/x86_64-linux-gnu/libvirt/connection-driver
for driver in "$drivers"/libvirt_driver_*.so; do
	[ "${driver##*/}" = libvirt_driver_qemu.so ] || rm -f "$driver"
done
chmod 755 "$root/usr/sbin/virtqemud"

rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/var/cache/debconf/*-old "$root/var/cache/ldconfig" "$root/etc/machine-id"
rm -f "$root"/var/lib/dpkg/*-old
