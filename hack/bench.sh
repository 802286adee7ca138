#!/usr/bin/env bash
# Runs the benchmarks one after another; each has a control plane to itself. Arguments go to the first of them:
# test/benchmark/README.md lists them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

echo "Building the benchmarks"
go build -o _output/bin/ ./test/benchmark
echo "Measuring the API; anything else that runs on this machine spoils it"
_output/bin/benchmark "$@"

state=$(pwd)/_output/bench-state
export VIRTUALSERVER_CONTROLPLANE=${state}
echo "Measuring latencies and consoles"
_output/bin/controlplane up --state-dir "${state}" --kubeconfig "${state}/kubeconfig" > /dev/null
trap '_output/bin/controlplane down --state-dir "${state}"' EXIT
go test -count=1 -timeout 30m -v -p 1 ./test/benchmark/latency
go test -count=1 -timeout 30m -v -run TestThroughput ./test/benchmark/console
