#!/usr/bin/env bash
# Runs the benchmarks, each of which starts what it needs. Arguments go to the first of them: test/benchmark/README.md
# lists them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

echo "Building the benchmark"
go build -o _output/bin/ ./test/benchmark
echo "Measuring; this takes about ten minutes, and anything else on this machine spoils it"
_output/bin/benchmark "$@"
