#!/usr/bin/env bash
# Runs a selection of the integration tests against real kube-apiservers of other versions: the oldest one that is supported and one
# between. hack/build-skew.sh has built them. Arguments go to "go test".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What a user needs first, and what depends on kinds that came or changed with a version of Kubernetes.
tests='TestTheGuidesExampleReachesRunning|TestTheTableOfRunStrategies|TestConsoleOfAMachine|TestValidatingAdmissionPolicy'
tests+='|TestValidatingWebhookRefusesAndWarns|TestQuotaCountsVirtualServers|TestKustomize'
state=$(pwd)/_output/skew-state
export VIRTUALSERVER_CONTROLPLANE=${state} KUBECONFIG=${state}/kubeconfig
kubectl=_output/bin/kubectl

down() { _output/bin/controlplane down --state-dir "${state}" > /dev/null 2>&1 || true; }
trap down EXIT

for folder in _output/skew/*/; do
  version=$(basename "${folder}")
  down
  echo "Starting a control plane with Kubernetes ${version} (logs: ${state}/logs)"
  _output/bin/controlplane up --bin-dir "${folder%/}" --nodes simulated --state-dir "${state}" --kubeconfig "${KUBECONFIG}"
  served=$("${kubectl}" version -o json | sed -n '/serverVersion/,$ s/.*"gitVersion": "\(.*\)".*/\1/p')
  [[ "${served}" == "${version}" ]] || { echo "kube-apiserver says it is ${served}, not ${version}" >&2; exit 1; }

  echo "The manifests pass strict validation"
  # In a namespace of their own: the product's Service is another here, since it runs as a process.
  "${kubectl}" create namespace skew-manifests > /dev/null
  "${kubectl}" kustomize artifacts/deploy | sed 's/namespace: virtualserver-system/namespace: skew-manifests/' |
    "${kubectl}" apply --dry-run=server --validate=strict -f - > /dev/null
  go test -count=1 -timeout 20m "$@" -run "^(${tests})\$" ./test/integration/

  # Once, and only where a kind is missing.
  said=$(grep -c 'left out until it does' "${state}"/logs/virtualserver-apiserver.log || true)
  wanted=0
  "${kubectl}" get --raw /apis/admissionregistration.k8s.io/v1 | grep -q mutatingadmissionpolicies || wanted=1
  [[ "${said}" == "${wanted}" ]] || { echo "The log says ${said} times that kinds are left out, not ${wanted} times" >&2; exit 1; }
  down
done
echo "All tests passed with $(cd _output/skew && echo *)"
