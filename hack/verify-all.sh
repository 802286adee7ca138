#!/usr/bin/env bash
# Runs every check and says which failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=()
check() {
  local name=$1 start=${SECONDS} log
  shift
  log=$(mktemp)
  printf '  %-28s' "${name}"
  if "$@" > "${log}" 2>&1; then
    printf 'ok      %ss\n' "$((SECONDS - start))"
  else
    printf 'FAILED  %ss\n' "$((SECONDS - start))"
    sed 's/^/      /' "${log}"
    failed+=("${name}")
  fi
  rm -f "${log}"
}

# own lists the Go files that people wrote, in every module of the repository.
own() { git ls-files '*.go' | grep -v -E 'zz_generated|^pkg/generated/'; }
formatting() { local bad; bad=$(own | xargs gofmt -l); [ -z "${bad}" ] || { echo "gofmt -w ${bad}"; return 1; }; }
layout() { go run ./hack/check-layout; }
vet() { go vet ./...; }
lint() { go tool staticcheck -checks 'all,-ST1000,-ST1003,-ST1005' $(go list ./... | grep -v /pkg/generated/); }
unreached() { local dead; dead=$(go tool deadcode ./cmd/...) || return 1; [ -z "${dead}" ] || { echo "${dead}"; return 1; }; }
modules() { go mod tidy -diff && go mod verify; }
shell() { local script; for script in hack/*.sh .ci/run; do bash -n "${script}" || return 1; done; }

echo "Verifying:"
check formatting formatting
check "imports and layout" layout
check "shell scripts" shell
check "go.mod and modules" modules
check vet vet
check staticcheck lint
check "functions nobody calls" unreached
check "generated code" hack/verify-codegen.sh
check "generated documents" hack/verify-docs.sh
if [ ${#failed[@]} -gt 0 ]; then
  echo "Failed: ${failed[*]}"
  exit 1
fi
echo "All checks passed."
