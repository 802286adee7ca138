#!/usr/bin/env bash
# Writes the documents that are generated from code.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

go run ./hack/api-reference > docs/api-reference.md
