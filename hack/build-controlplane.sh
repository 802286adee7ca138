#!/usr/bin/env bash
# Builds the real servers of the local control plane into _output/bin from the
# nested modules below test/controlplane.
#
# Usage: hack/build-controlplane.sh [COMPONENT...]
# Components: kubernetes kubevirt cdi. Without one, all are built.
#
# A component is skipped when its binaries exist and neither its module's
# files nor the Go version have changed since it was built. Remove
# _output/stamps to build again regardless.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
modules="${root}/test/controlplane"
bin="${root}/_output/bin"
stamps="${root}/_output/stamps"

export CGO_ENABLED=0
# The nested modules are modules of their own; a workspace would hide that.
export GOWORK=off

# The versions that the servers report. Clients parse the server's version and
# fail on one that was not set.
kubernetes_version="v1.37.2"
kubevirt_version="v1.7.0"

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }

# binaries_of prints the names of a component's binaries.
binaries_of() {
  case "$1" in
    kubernetes) echo kube kubectl ;;
    kubevirt) echo virt-api virt-controller kubectl-virt kubevirt-manifests ;;
    cdi) echo cdi-apiserver cdi-controller cdi-manifests ;;
    *)
      echo "build-controlplane: unknown component '$1'; use kubernetes, kubevirt or cdi" >&2
      return 2
      ;;
  esac
}

# fingerprint hashes what the binaries of a component are made from: its
# module's files, this script and the Go toolchain.
fingerprint() {
  local module="${modules}/$1"
  {
    (cd "${module}" && go version)
    cat "${BASH_SOURCE[0]}"
    (cd "${module}" && find . -type f ! -name '*_test.go' \( -name '*.go' -o -name go.mod -o -name go.sum \) -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
  } | sha256sum | cut -d' ' -f1
}

up_to_date() {
  local component="$1" want="$2" name
  [[ -f "${stamps}/${component}" && "$(<"${stamps}/${component}")" == "${want}" ]] || return 1
  for name in $(binaries_of "${component}"); do
    [[ -x "${bin}/${name}" ]] || return 1
  done
}

# go_build OUTPUT PACKAGE LDFLAGS builds in the current directory. The binary is
# replaced in one step, so that a running process keeps its own.
go_build() {
  local output="$1" package="$2" ldflags="${3:-}" started=${SECONDS}
  say "  ${output}: building"
  go build -ldflags "-s -w ${ldflags}" -o "${bin}/.${output}.$$" "${package}"
  mv -f "${bin}/.${output}.$$" "${bin}/${output}"
  say "  ${output}: $((SECONDS - started)) s"
}

build_kubernetes() {
  local prefix=k8s.io/component-base/version major minor flags
  IFS=. read -r major minor _ <<<"${kubernetes_version#v}"
  flags="-X ${prefix}.gitVersion=${kubernetes_version} -X ${prefix}.gitMajor=${major} -X ${prefix}.gitMinor=${minor}"
  flags+=" -X ${prefix}.gitTreeState=clean"
  go_build kube . "${flags}"
  # One binary under two names: it looks at the name that it is called by.
  ln -f "${bin}/kube" "${bin}/kubectl"
}

build_kubevirt() {
  local prefix=kubevirt.io/client-go/version
  local flags="-X ${prefix}.gitVersion=${kubevirt_version} -X ${prefix}.gitTreeState=clean"
  go_build virt-api kubevirt.io/kubevirt/cmd/virt-api "${flags}"
  go_build virt-controller kubevirt.io/kubevirt/cmd/virt-controller "${flags}"
  go_build kubectl-virt kubevirt.io/kubevirt/cmd/virtctl "${flags}"
  go_build kubevirt-manifests ./kubevirt-manifests
}

build_cdi() {
  go_build cdi-apiserver ./cdi-apiserver
  go_build cdi-controller ./cdi-controller
  go_build cdi-manifests ./cdi-manifests
}

build() {
  local component="$1" started=${SECONDS} want
  want="$(fingerprint "${component}")"
  if up_to_date "${component}" "${want}"; then
    say "${component}: up to date"
    return
  fi
  say "${component}: building; the first time takes minutes"
  rm -f "${stamps}/${component}"
  (cd "${modules}/${component}" && "build_${component}")
  echo "${want}" >"${stamps}/${component}"
  say "${component}: built in $((SECONDS - started)) s"
}

main() {
  local component
  local -a components=("$@")
  [[ ${#components[@]} -gt 0 ]] || components=(kubernetes kubevirt cdi)
  for component in "${components[@]}"; do
    binaries_of "${component}" >/dev/null
  done
  mkdir -p "${bin}" "${stamps}"
  for component in "${components[@]}"; do
    build "${component}"
  done
}

main "$@"
