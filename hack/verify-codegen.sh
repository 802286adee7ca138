#!/usr/bin/env bash
# Regenerates code in a copy of the tree and fails when anything differs from what is committed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

copy=$(mktemp -d)
trap 'rm -rf "${copy}"' EXIT
git ls-files -z | xargs -0 cp --parents -t "${copy}"
(cd "${copy}" && hack/update-codegen.sh > /dev/null)
status=0
for path in pkg/apis pkg/generated hack/api-violations.txt; do
  diff -r -u "${path}" "${copy}/${path}" || status=1
done
[ "${status}" -eq 0 ] || echo "Run 'make generate' and commit the result."
exit "${status}"
