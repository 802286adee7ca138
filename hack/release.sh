#!/usr/bin/env bash
# Makes everything that a release has, from a commit with a tag such as v0.2.0: images, the plugin for krew, the manifests, the
# section of the changelog, and checksums over all of it. Nothing is sent anywhere.
#
# Usage: hack/release.sh ADDRESS HOMEPAGE
# ADDRESS is the URL below which the archives will be, HOMEPAGE the project's own page. The result is in _output/release.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -ne 2 ]; then
  sed -n '5,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
version=$(git describe --tags --exact-match --match 'v[0-9]*' 2> /dev/null) || {
  echo "This commit has no tag such as v0.2.0: git tag v0.2.0" >&2
  exit 1
}
if [ -n "$(git status --porcelain)" ]; then
  echo "There are changes without a commit; a release is what a commit has." >&2
  exit 1
fi
section=$(awk -v want="${version#v}" '/^## /{on = ($2 == want)} on' CHANGELOG.md)
if [ -z "${section}" ]; then
  echo "CHANGELOG.md has no section ${version#v}." >&2
  exit 1
fi
output=$(pwd)/_output/release
rm -rf "${output}"
mkdir -p "${output}"
printf '%s\n' "${section}" > "${output}/changelog.md"

echo "Making the images of ${version}"
hack/images.sh build --output "${output}/images"
tar -C "${output}/images" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "${output}/virtualserver-apiserver_oci.tar" oci
mv "${output}"/images/*.tar "${output}"/images/*.spdx.json "${output}/"
rm -rf "${output}/images"

echo "Packing the plugin"
KREW_OUTPUT="${output}" KREW_BUILD_FLAGS="-trimpath -buildvcs=true -ldflags=-s" hack/krew.sh "${version}" "$1" "$2"

echo "Packing the manifests"
git archive --format=tar --prefix="virtualserver-${version}/" HEAD artifacts LICENSE NOTICE | gzip -n > "${output}/manifests.tar.gz"

(cd "${output}" && sha256sum -- * > SHA256SUMS)
echo "The release is in ${output}; SHA256SUMS has the checksums. Next: sign SHA256SUMS, and push the images with hack/images.sh push."
