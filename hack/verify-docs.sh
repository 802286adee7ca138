#!/usr/bin/env bash
# Fails when a generated document differs from what the code says, or a page from its Chinese twin.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

go run ./hack/api-reference | diff -u docs/api-reference.md - || { echo "Run 'make generate' and commit the result."; exit 1; }
go run ./hack/check-twins
