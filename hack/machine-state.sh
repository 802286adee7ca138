#!/usr/bin/env bash
# Prints what a node could leave on this machine: mounts, interfaces, addresses, routes, rules, cgroups, settings of the
# kernel, files of Kubernetes outside the repository, and processes of ours or in namespaces of their own. Two outputs, from
# before and after, are equal if nothing was left.
set -euo pipefail

section() { printf '== %s\n' "$1"; }

section mounts
awk '{print $5, $(NF-2), $(NF-1)}' /proc/self/mountinfo | sort
section interfaces
ip -brief address | awk '{print $1, $3, $4}' | sed 's/@[^ ]*//' | sort
section routes
ip route show table all | sort
section "network namespaces"
ip netns list
section rules
if command -v nft > /dev/null; then nft list ruleset; fi
section cgroups
# What a service manager and its sessions do beside is theirs.
find /sys/fs/cgroup -type d | grep -v -E '/(user|system|init)\.(slice|scope)' | sort
section "settings of the kernel"
for setting in net/ipv4/ip_forward vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops; do
  printf '%s %s\n' "${setting}" "$(< "/proc/sys/${setting}")"
done
section "files outside the repository"
for path in /var/lib/kubelet /var/lib/kubevirt /var/lib/kubevirt-node-labeller /var/lib/containerd /run/containerd /run/kubevirt \
  /var/log/pods /var/log/containers /var/lib/cni /etc/cni; do
  if [[ -e "${path}" ]]; then echo "${path}"; fi
done
find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'vslab-*' | sort
section devices
find /dev -maxdepth 2 \( -type c -o -type b \) ! -path '/dev/pts/*' -printf '%p %m %u %g\n' | sort
section processes
own=$(readlink /proc/self/ns/mnt)
for process in /proc/[0-9]*; do
  program=$(readlink "${process}/exe" 2> /dev/null) || continue
  space=$(readlink "${process}/ns/mnt" 2> /dev/null) || continue
  if [[ "${program}" == "${1:-$(pwd)/_output/bin}"/* || "${space}" != "${own}" ]]; then
    echo "${program##*/}"
  fi
done | sort | uniq -c
