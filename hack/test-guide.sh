#!/usr/bin/env bash
# Tries the user's guide inside guests that boot on real nodes: starts a control plane with such nodes, runs test/guide,
# stops it, and checks that the machine is as it was before. Arguments go to "go test".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ "$(< _output/node-mode)" != real ]]; then
  echo "The nodes are simulated here, so the guide is not tried inside guests."
  exit 0
fi
state=$(pwd)/_output/guide-state
export VIRTUALSERVER_CONTROLPLANE=${state} NODE=real

_output/bin/controlplane down --state-dir "${state}" > /dev/null 2>&1 || true
before=$(mktemp)
after=$(mktemp)
trap 'rm -f "${before}" "${after}"' EXIT
hack/machine-state.sh > "${before}"

echo "Starting a control plane with real nodes (logs: ${state}/logs and ${state}/nodes)"
_output/bin/controlplane up --nodes real --state-dir "${state}" --kubeconfig "${state}/kubeconfig"
trap '_output/bin/controlplane down --state-dir "${state}"; rm -f "${before}" "${after}"' EXIT

echo "Trying the guide inside guests"
go test -count=1 -timeout 60m -parallel 2 "$@" ./test/guide/...

_output/bin/controlplane down --state-dir "${state}"
trap 'rm -f "${before}" "${after}"' EXIT
hack/machine-state.sh > "${after}"
if ! diff "${before}" "${after}"; then
  echo "The nodes have left something on this machine (< before, > after)." >&2
  exit 1
fi
echo "The nodes have left nothing on this machine."
