#!/usr/bin/env bash
# Builds the older Kubernetes servers of test/skew into _output/skew/VERSION, each a folder with all programs of a local control
# plane: "kube" runs the servers of that version and everything else from _output/bin.
#
# Usage: hack/build-skew.sh [MODFILE...]; without one all of them.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "${root}/test/skew"
export GOWORK=off CGO_ENABLED=0
[[ $# -gt 0 ]] || set -- oldest.mod go.mod

for modfile in "$@"; do
  version=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' "${modfile}")
  folder="${root}/_output/skew/${version}"
  mkdir -p "${folder}"
  # Clients parse the version that a server reports and fail on one that was not set.
  minor=${version#v1.}
  package=k8s.io/component-base/version
  if ! cmp -s "${modfile}" "${folder}/built.mod" || [[ main.go -nt "${folder}/kube-servers" ]]; then
    echo "Building kube-apiserver, kube-controller-manager and kube-scheduler ${version}"
    go build -modfile="${modfile}" -o "${folder}/kube-servers" \
      -ldflags "-s -w -X ${package}.gitVersion=${version} -X ${package}.gitMajor=1 -X ${package}.gitMinor=${minor%%.*}" .
    cp "${modfile}" "${folder}/built.mod"
  fi
  for program in "${root}"/_output/bin/*; do
    ln -sf "../../bin/$(basename "${program}")" "${folder}/"
  done
  rm -f "${folder}/kube"
  cat > "${folder}/kube" <<'SCRIPT'
#!/bin/sh
case "$1" in
  kube-apiserver | kube-controller-manager | kube-scheduler) exec "$(dirname "$0")/kube-servers" "$@" ;;
  *) exec "$(dirname "$0")/../../bin/kube" "$@" ;;
esac
SCRIPT
  chmod +x "${folder}/kube"
done
