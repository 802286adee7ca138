#!/usr/bin/env bash
# Builds the real servers of the local control plane, and the programs of its
# nodes where these are real, into _output/bin from the nested modules below
# test/controlplane.
#
# Usage: [NODE=real|simulated|auto] hack/build-controlplane.sh [COMPONENT...]
# Components: kubernetes coredns containerd csi kubevirt cdi. Without one, all that
# the kind of node needs are built; see hack/node-mode.sh for how it is chosen.
# The choice is left in _output/node-mode.
#
# A component is skipped when its binaries exist and neither its module's
# files nor the Go version have changed since it was built. Remove
# _output/stamps to build again regardless.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
modules="${root}/test/controlplane"
bin="${root}/_output/bin"
stamps="${root}/_output/stamps"
# shellcheck source=hack/build-progress.sh
source "${root}/hack/build-progress.sh"

# The nested modules are modules of their own; a workspace would hide that.
export GOWORK=off

# The versions that the servers report. Clients parse the server's version and
# fail on one that was not set.
kubernetes_version="v1.37.2"
kubevirt_version="v1.7.0"
containerd_version="v2.3.5"

# programs_of prints what a component consists of, NAME=PACKAGE each; in the
# simulated case without the programs that run on a node.
programs_of() {
  local kubevirt=kubevirt.io/kubevirt/cmd cdi=kubevirt.io/containerized-data-importer/cmd
  local containerd=github.com/containerd/containerd/v2/cmd csi=github.com/kubernetes-csi name
  case "$1" in
    kubernetes) echo kube=. ;;
    coredns) echo coredns=. ;;
    containerd)
      for name in containerd containerd-shim-runc-v2 ctr; do echo "${name}=${containerd}/${name}"; done
      ;;
    csi)
      echo "csi-provisioner=${csi}/external-provisioner/v5/cmd/csi-provisioner"
      for name in csi-snapshotter snapshot-controller; do echo "${name}=${csi}/external-snapshotter/v8/cmd/${name}"; done
      ;;
    kubevirt)
      for name in virt-api virt-controller; do echo "${name}=${kubevirt}/${name}"; done
      echo "kubectl-virt=${kubevirt}/virtctl" "kubevirt-manifests=./kubevirt-manifests"
      [[ "${node}" == real ]] || return 0
      for name in handler launcher launcher-monitor chroot freezer probe tail; do
        echo "virt-${name}=${kubevirt}/virt-${name}"
      done
      ;;
    cdi)
      for name in apiserver controller manifests; do echo "cdi-${name}=./cdi-${name}"; done
      [[ "${node}" == real ]] || return 0
      for name in importer cloner uploadserver uploadproxy; do echo "cdi-${name}=${cdi}/cdi-${name}"; done
      ;;
    *)
      echo "build-controlplane: unknown component '$1'; use kubernetes, coredns, containerd, csi, kubevirt or cdi" >&2
      return 2
      ;;
  esac
}

# binaries_of prints the names of a component's binaries.
binaries_of() {
  local program
  for program in $(programs_of "$1"); do echo "${program%%=*}"; done
  case "$1" in
    kubernetes) echo kubectl ;;
    csi) echo snapshot-crds.yaml ;;
    kubevirt) [[ "${node}" != real ]] || echo container-disk ;;
  esac
}

# packages_in prints the Go packages of a component on one line.
packages_in() {
  local program
  for program in $(programs_of "$1"); do printf '%s ' "${program#*=}"; done
}

# cgo_of says whether a component is built with cgo. virt-launcher links libvirt and
# virt-handler asks the kernel for KVM in C. Nearly every package imports net,
# which cgo changes, so all of KubeVirt has it, or most would be compiled twice.
cgo_of() { if [[ "$1" == kubevirt && "${node}" == real ]]; then echo 1; else echo 0; fi; }

tags_of() {
  case "$1" in
    containerd) echo no_btrfs,no_zfs,no_devmapper ;; # Of its snapshotters only overlayfs is used.
  esac
}

ldflags_of() {
  local prefix major minor
  case "$1" in
    kubernetes)
      prefix=k8s.io/component-base/version
      IFS=. read -r major minor _ <<<"${kubernetes_version#v}"
      echo "-X ${prefix}.gitVersion=${kubernetes_version} -X ${prefix}.gitMajor=${major} -X ${prefix}.gitMinor=${minor} -X ${prefix}.gitTreeState=clean"
      ;;
    containerd) echo "-X github.com/containerd/containerd/v2/version.Version=${containerd_version}" ;;
    kubevirt)
      prefix=kubevirt.io/client-go/version
      echo "-X ${prefix}.gitVersion=${kubevirt_version} -X ${prefix}.gitTreeState=clean"
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

# up_to_date COMPONENT FINGERPRINT: what was built for real nodes serves simulated
# ones too.
up_to_date() {
  local component="$1" want="$2" made="" name
  [[ -f "${stamps}/${component}" ]] || return 1
  made="$(<"${stamps}/${component}")"
  [[ "${made}" == "${want} ${node}" || "${made}" == "${want} real" ]] || return 1
  for name in $(binaries_of "${component}"); do
    [[ -e "${bin}/${name}" ]] || return 1
  done
}

# count COMPONENT writes down how many packages have to be compiled, and fetches
# their modules for that.
count() {
  local component="$1" number
  local -a packages
  read -r -a packages <<<"$(packages_in "${component}")"
  number="$(cd "${modules}/${component}" && CGO_ENABLED="$(cgo_of "${component}")" go list -deps -tags "$(tags_of "${component}")" \
    -f '{{if .Stale}}x{{end}}' "${packages[@]}" 2>>"${progress_dir}/count.log" | grep -c x)" || true
  [[ -n "${number}" ]] || return 0
  echo "${number}" >"${progress_dir}/.count.${component}"
  mv "${progress_dir}/.count.${component}" "${progress_dir}/count.${component}"
}

# compile COMPONENT PLACE REST... builds a component's programs in one run, which
# links some while it still compiles others, and puts them in place one by one: a
# running process keeps its own.
compile() {
  local component="$1" place="$2" out="${bin}/.build-$1" log="${progress_dir}/build.log" pid program package made
  shift 2
  local -a packages
  read -r -a packages <<<"$(packages_in "${component}")"
  rm -rf "${out}"
  mkdir -p "${out}"
  (
    cd "${modules}/${component}"
    CGO_ENABLED="$(cgo_of "${component}")" exec go build -v -tags "$(tags_of "${component}")" \
      -ldflags "-s -w $(ldflags_of "${component}")" -o "${out}/" "${packages[@]}"
  ) >"${log}" 2>&1 &
  pid=$!
  building="${pid}"
  follow "${component}" "${place}" "${log}" "${pid}" "$@"
  building=""
  if ! wait "${pid}"; then
    grep -vE '^[A-Za-z0-9./_~-]+$|^go: downloading' "${log}" >&2 || true
    echo "build-controlplane: ${component} cannot be built" >&2
    return 1
  fi
  for program in $(programs_of "${component}"); do
    package="${program#*=}"
    made="${package##*/}"
    [[ "${package}" != . ]] || made="${component}"
    mv -f "${out}/${made}" "${bin}/${program%%=*}"
  done
  rm -rf "${out}"
}

# finish_COMPONENT makes what is not a Go program.
finish_kubernetes() {
  # One binary under two names: it looks at the name that it is called by.
  ln -f "${bin}/kube" "${bin}/kubectl"
}

finish_csi() {
  local folder
  folder="$(cd "${modules}/csi" && go list -m -f '{{.Dir}}' github.com/kubernetes-csi/external-snapshotter/client/v8)/config/crd"
  # Each of these files begins with a line that parts YAML documents.
  cat "${folder}"/snapshot.storage.k8s.io_*.yaml >"${bin}/.snapshot-crds"
  mv -f "${bin}/.snapshot-crds" "${bin}/snapshot-crds.yaml"
}

finish_kubevirt() {
  [[ "${node}" == real ]] || return 0
  local source
  source="$(cd "${modules}/kubevirt" && go list -m -f '{{.Dir}}' kubevirt.io/kubevirt)/cmd/container-disk-v2alpha/main.c"
  # It runs in images that hold a disk and nothing else, so no library is there.
  gcc -static -O2 -o "${bin}/.container-disk" "${source}"
  mv -f "${bin}/.container-disk" "${bin}/container-disk"
}

# build COMPONENT PLACE FINGERPRINT REST...
build() {
  local component="$1" place="$2" want="$3" started=${SECONDS}
  shift 3
  say "${component} (${place}): building $(binaries_of "${component}" | paste -sd' ')"
  rm -f "${stamps}/${component}"
  await_count "${component}" "${place}" "${counting}"
  # What it shares with those before it has been compiled since it was counted.
  [[ "${place}" == 1\ * ]] || count "${component}"
  compile "${component}" "${place}" "$@"
  if declare -F "finish_${component}" >/dev/null; then "finish_${component}"; fi
  echo "${want} ${node}" >"${stamps}/.${component}"
  mv -f "${stamps}/.${component}" "${stamps}/${component}"
  say "${component} (${place}): built in $(minutes $((SECONDS - started)))"
}

counting="" # the process that counts packages
building="" # the process that builds
clean_up() {
  local pid
  for pid in ${counting} ${building}; do kill "${pid}" 2>/dev/null || true; done
  rm -rf "${progress_dir}" "${bin}"/.build-*
}

main() {
  local component want i
  local -a components=("$@") stale=() wants=()
  node="$("${root}/hack/node-mode.sh")"
  if [[ ${#components[@]} -eq 0 ]]; then
    components=(kubernetes kubevirt cdi)
    # In this order each finds most of what it shares with another compiled.
    [[ "${node}" != real ]] || components=(kubernetes coredns containerd csi kubevirt cdi)
  fi
  for component in "${components[@]}"; do
    programs_of "${component}" >/dev/null
  done
  mkdir -p "${bin}" "${stamps}"
  # Two builds at once would take each other's files away.
  if command -v flock >/dev/null; then
    exec 9>"${root}/_output/build.lock"
    flock -n 9 || { say "waiting for another build of this folder"; flock 9; }
  fi
  echo "${node}" >"${root}/_output/node-mode"
  for component in "${components[@]}"; do
    want="$(fingerprint "${component}")"
    if up_to_date "${component}" "${want}"; then
      say "${component}: up to date"
    else
      stale+=("${component}")
      wants+=("${want}")
    fi
  done
  [[ ${#stale[@]} -gt 0 ]] || return 0

  progress_dir="$(mktemp -d)"
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  : >"${progress_dir}/count.log"
  # The modules of the next component come while this one is compiled.
  (for component in "${stale[@]}"; do count "${component}"; done) &
  counting=$!
  for i in "${!stale[@]}"; do
    build "${stale[i]}" "$((i + 1)) of ${#stale[@]}" "${wants[i]}" "${stale[@]:i+1}"
  done
}

main "$@"
