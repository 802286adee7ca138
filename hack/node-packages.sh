#!/usr/bin/env bash
# The Debian packages that a real node needs on this machine: to build its
# programs, its images and its guests, and to run it. Sourced by node-mode.sh.

# node_packages prints them. Nothing here comes from a registry of images.
node_packages() {
  # cgo with libvirt's headers, for virt-launcher.
  echo gcc libc6-dev libvirt-dev pkg-config
  # Images: Debian roots without a container daemon.
  echo mmdebstrap debian-archive-keyring xz-utils
  # The node: a runtime, a network for pods, rules for Services.
  command -v runc >/dev/null || echo runc
  echo containernetworking-plugins iproute2 nftables kmod
  # Guests: disks with a boot loader, made without loop devices.
  echo syslinux extlinux mtools dosfstools fdisk cpio busybox-static qemu-utils e2fsprogs
  # The first machine gets a key, and tests look for QEMU's process.
  echo openssh-client procps
}

# missing_packages prints those that are not installed, on one line.
missing_packages() {
  local name
  local -a missing=()
  for name in $(node_packages); do
    [[ "$(dpkg-query -W -f='${db:Status-Status}' "${name}" 2>/dev/null)" == installed ]] || missing+=("${name}")
  done
  echo "${missing[*]:-}"
}

# may_install MISSING says whether somebody wants the packages to be installed.
may_install() {
  local answer
  [[ "${CI:-}" != true && "${INSTALL:-}" != 1 ]] || return 0
  [[ -t 0 && -t 2 ]] || return 1
  {
    echo "A real node, on which guests boot, needs these Debian packages:"
    echo "  $1"
    printf 'Install them with apt-get? Nothing that is installed will be removed. [y/N] '
  } >&2
  read -r answer || return 1
  [[ "${answer}" == [yY] || "${answer}" == [yY][eE][sS] ]]
}

# install_packages PACKAGE... installs them so that nothing that is installed goes.
install_packages() {
  local -a get=(apt-get -q -y -o DPkg::Lock::Timeout=300 --no-remove --no-install-recommends)
  export DEBIAN_FRONTEND=noninteractive
  "${get[@]}" install "$@" >&2 && return
  # The lists may be old, or empty as in a fresh image.
  apt-get -q -o DPkg::Lock::Timeout=300 update >&2 && "${get[@]}" install "$@" >&2
}
