#!/usr/bin/env bash
# Prints which kind of node the local control plane gets on this machine:
#   real       kubelet, containerd, virt-handler, virt-launcher and QEMU: guests boot
#   simulated  the project's node agent plays all that
# What is missing for a real one is said on stderr, in one line.
#
# NODE=real|simulated|auto asks for one; auto, the default, takes what the machine
# gives. With NODE=real it is an error if something is missing. Packages are
# installed after a yes on a terminal, or with CI=true or INSTALL=1, never otherwise.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=hack/node-packages.sh
source "${root}/hack/node-packages.sh"

node="${NODE:-auto}"

# without ends the search: something is missing, WHAT.
without() {
  if [[ "${node}" == real ]]; then
    echo "node-mode: NODE=real needs $1" >&2
    exit 1
  fi
  echo "The node is simulated: a real one, on which guests boot, needs $1." >&2
  echo simulated
  exit 0
}

# joined prints its arguments with commas between them.
joined() { local IFS=,; echo "${*//,/}" | sed 's/,/, /g'; }

# missing_capabilities prints those of this process that are missing. The numbers
# are the kernel's (capability.h).
missing_capabilities() {
  local effective pair
  local -a missing=()
  effective="$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)"
  for pair in CHOWN:0 DAC_OVERRIDE:1 FOWNER:3 SETGID:6 SETUID:7 NET_ADMIN:12 SYS_CHROOT:18 SYS_ADMIN:21 MKNOD:27; do
    (((16#${effective} >> ${pair#*:}) & 1)) || missing+=("CAP_${pair%%:*}")
  done
  joined "${missing[@]:-}"
}

# missing_cgroups prints the controllers in which no group can be made.
missing_cgroups() {
  local name group root_group
  local -a missing=()
  if [[ -f /sys/fs/cgroup/cgroup.controllers ]]; then # version 2
    for name in cpu cpuset memory pids; do
      grep -qw "${name}" /sys/fs/cgroup/cgroup.controllers || missing+=("${name}")
    done
    group="/sys/fs/cgroup/vs-probe-$$"
    { mkdir "${group}" && rmdir "${group}"; } 2>/dev/null || missing+=("a writable tree")
  else
    for name in cpu cpuacct cpuset memory pids devices; do
      root_group="$(awk -v name="${name}" '$3 == "cgroup" && ("," $4 ",") ~ ("," name ",") {print $2; exit}' /proc/mounts)"
      group="${root_group}/vs-probe-$$"
      { [[ -n "${root_group}" ]] && mkdir "${group}" && rmdir "${group}"; } 2>/dev/null || missing+=("${name}")
    done
  fi
  joined "${missing[@]:-}"
}

# try_kernel does in namespaces of its own what a node does, below the folder where
# the node's files will be, and prints what failed first. Nothing of it outlasts the
# process but the folder, which is removed.
try_kernel() {
  local folder result=0
  mkdir -p "${root}/_output"
  folder="$(mktemp -d "${root}/_output/.probe.XXXXXX")"
  # shellcheck disable=SC2016 # The inner shell expands them.
  unshare --mount --propagation private --pid --net --uts --fork --mount-proc --kill-child bash -c '
    fail() { echo "$1"; exit 0; }
    exec 2>/dev/null
    cd "$1" && mkdir lower upper work merged tmp || fail "a writable folder _output"
    mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged && touch merged/file || fail "overlayfs on the file system of _output"
    mount -t tmpfs tmpfs tmp && mknod -m 666 tmp/null c 1 3 && echo >tmp/null || fail "device nodes (mknod)"
    mount -t sysfs sysfs /sys || fail "a sysfs of its own"
    if command -v ip >/dev/null; then
      ip link add probe0 type bridge || fail "network bridges in the kernel"
      ip link add probe1 type veth peer name probe2 || fail "veth pairs in the kernel"
    fi
    if command -v nft >/dev/null; then
      nft "add table ip probe; add chain ip probe nat { type nat hook prerouting priority -100; }" || fail "nftables with NAT in the kernel"
    fi
    echo ok' probe "${folder}" 2>/dev/null || result=$?
  rm -rf "${folder}"
  ((result == 0)) || echo "namespaces (unshare failed)"
}

case "${node}" in
  real | auto) ;;
  simulated)
    echo "The node is simulated, as NODE says; what a real one runs is not built." >&2
    echo simulated
    exit 0
    ;;
  *)
    echo "node-mode: NODE=${node} is none of real, simulated, auto" >&2
    exit 2
    ;;
esac

[[ "$(uname -s)" == Linux && "$(uname -m)" == x86_64 ]] || without "Linux on amd64"
[[ "$(id -u)" == 0 ]] || without "root"
missing="$(missing_capabilities)"
[[ -z "${missing}" ]] || without "the capabilities ${missing}"
{ command -v dpkg-query && command -v apt-get; } >/dev/null || without "Debian or Ubuntu, from whose packages it is made"
missing="$(missing_cgroups)"
[[ -z "${missing}" ]] || without "control groups it may write to: ${missing}"
missing="$(try_kernel)"
[[ "${missing}" == ok ]] || without "${missing}"

missing="$(missing_packages)"
if [[ -n "${missing}" ]]; then
  may_install "${missing}" || without "the packages ${missing}; INSTALL=1 installs them"
  # shellcheck disable=SC2086 # One word each.
  install_packages ${missing} || without "the packages ${missing}, which apt-get could not install"
  # iproute2 and nftables may have come just now.
  missing="$(try_kernel)"
  [[ "${missing}" == ok ]] || without "${missing}"
fi
echo real
