#!/usr/bin/env bash
# Writes the checksums of the catalogue of images, from the lists that the vendors sign. Needs the network, and the vendors' keys:
# hack/update-images/sources.yaml names them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tool=$(mktemp)
trap 'rm -f "${tool}"' EXIT
(cd hack/update-images && GOWORK=off go build -o "${tool}" .)
"${tool}" --catalogue pkg/images/default.yaml --manifest artifacts/images/images.yaml --sources hack/update-images/sources.yaml
