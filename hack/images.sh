#!/usr/bin/env bash
# Makes and pushes the product's images; see hack/images. Arguments are those of that command.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tool=$(mktemp)
trap 'rm -f "${tool}"' EXIT
(cd hack/images && GOWORK=off go build -o "${tool}" .)
"${tool}" "$@"
