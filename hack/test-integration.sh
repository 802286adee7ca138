#!/usr/bin/env bash
# Starts one control plane, runs the integration tests against it, and stops it. Arguments go to "go test".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

state=$(pwd)/_output/test-state
export VIRTUALSERVER_CONTROLPLANE=${state}

echo "Building Helm for the test of the chart"
(cd test/helm && GOWORK=off CGO_ENABLED=0 go build -o ../../_output/bin/helm .)

echo "Starting a control plane for the integration tests (logs: ${state}/logs)"
_output/bin/controlplane down --state-dir "${state}" > /dev/null 2>&1 || true
# Faults, speed and scale are had from simulated nodes; test/guide has what needs real ones.
_output/bin/controlplane up --nodes simulated --state-dir "${state}" --kubeconfig "${state}/kubeconfig"
trap '_output/bin/controlplane down --state-dir "${state}"' EXIT

if [[ -n "${PARITY:-}" ]]; then
  echo "Holding the simulated nodes against what real ones did"
  go test -count=1 -timeout 20m -run TestSimulatedNodesDoAsRealOnesDo ./test/guide
  exit
fi

echo "Running integration tests"
go test -count=1 -timeout 80m "$@" ./test/integration/... ./test/conformance/...

# Some pages are about the whole cluster, in which other tests make and delete namespaces.
echo "Running the commands of the documentation"
go test -count=1 -timeout 30m "$@" ./test/docs/...

# These kill servers and exchange the product's store, so nobody else may use the control plane meanwhile.
echo "Running the tests that break servers, one package after another"
go test -count=1 -timeout 80m -p 1 "$@" ./test/disruption/...

# It kills the product all the time, so it runs when nothing else does.
echo "Running the model-based tests"
go test -count=1 -timeout 40m ./test/model/live
