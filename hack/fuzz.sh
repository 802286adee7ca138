#!/usr/bin/env bash
# Runs every fuzz target in turn for FUZZTIME (default 30s each).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for file in $(git grep -l -E '^func Fuzz' -- '*_test.go'); do
  for target in $(sed -n -E 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "${file}"); do
    echo "Fuzzing ${target} in $(dirname "${file}") for ${FUZZTIME:-30s}"
    go test -run '^$' -fuzz "^${target}\$" -fuzztime "${FUZZTIME:-30s}" "./$(dirname "${file}")"
  done
done
