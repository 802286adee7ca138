#!/usr/bin/env bash
# Packs the plugin kubectl-vs for krew: one archive for each platform, and the manifest with their checksums.
#
# Usage: hack/krew.sh VERSION ADDRESS HOMEPAGE [OS/ARCH...]
# VERSION is like v1.2.3, ADDRESS the URL below which the archives will be, HOMEPAGE the project's own page.
# Without a platform all of the manifest's are built. The result is in KREW_OUTPUT, by default _output/krew; KREW_BUILD_FLAGS are
# flags of "go build", by default those for a release.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -lt 3 ]; then
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
version=$1 address=$2 homepage=$3
shift 3
output=${KREW_OUTPUT:-_output/krew}
read -r -a flags <<< "${KREW_BUILD_FLAGS--trimpath -ldflags=-s}"
mkdir -p "${output}"
export CGO_ENABLED=0

# pack OS ARCH builds one archive. The same sources give the same bytes.
pack() {
  local folder binary=kubectl-vs
  folder=$(mktemp -d)
  GOOS=$1 GOARCH=$2 go build "${flags[@]}" -o "${folder}/${binary}" ./cmd/kubectl-vs
  install -m 755 cmd/kubectl-vs/kubectl_complete-vs "${folder}/"
  tar -C "${folder}" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c "${binary}" kubectl_complete-vs |
    gzip -n > "${output}/kubectl-vs_$1_$2.tar.gz"
  rm -rf "${folder}"
}

# Everything before the platforms is kept; of the platforms those that were asked for.
keep=yes sum=
while IFS= read -r line; do
  if [[ ${line} =~ os:\ ([a-z0-9]+),\ arch:\ ([a-z0-9]+) ]]; then
    os=${BASH_REMATCH[1]} arch=${BASH_REMATCH[2]} keep=yes
    if [ $# -gt 0 ] && [[ " $* " != *" ${os}/${arch} "* ]]; then
      keep=no
    else
      echo "Packing ${os}/${arch}" >&2
      pack "${os}" "${arch}"
      sum=$(sha256sum "${output}/kubectl-vs_${os}_${arch}.tar.gz" | cut -d' ' -f1)
    fi
  fi
  [ "${keep}" = yes ] || continue
  line=${line//'${VERSION}'/${version}}
  line=${line//'${ADDRESS}'/${address}}
  line=${line//'${HOMEPAGE}'/${homepage}}
  printf '%s\n' "${line//'${SHA256}'/${sum}}"
done < artifacts/krew/vs.yaml > "${output}/vs.yaml"
echo "The manifest is ${output}/vs.yaml" >&2
