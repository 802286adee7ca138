#!/usr/bin/env bash
# Makes the node agent of the local control plane misbehave, or behave again.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: hack/fault.sh COMMAND [ARGUMENTS]

  crash|panic|oom|shutdown|reboot NAMESPACE/VM   one event inside a running guest
  lose-node NODE, restore-node NODE              a node falls silent and comes back
  fail-import NAMESPACE [MESSAGE]                imports fail and are tried again
  stall-import NAMESPACE [PERCENT]               imports stop half way
  slow-import NAMESPACE SECONDS                  imports take their time
  fail-boot|hang-boot NAMESPACE                  machines never reach Running
  hang-stop NAMESPACE                            guests ignore the power button
  refuse-scheduling NAMESPACE                    new machines find no node
  no-agent NAMESPACE                             the guest agent does not answer
  heal NAMESPACE                                 ends all of a namespace
  status                                         shows what is set

VM is the name of a VirtualMachineInstance, or of a VirtualServer.
KUBECONFIG and KUBECTL choose the cluster and the client.
USAGE
}

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
kubectl="${KUBECTL:-}"
if [[ -z $kubectl ]]; then
  kubectl=kubectl
  if [[ -x $root/_output/bin/kubectl ]]; then kubectl=$root/_output/bin/kubectl; fi
fi
if [[ -z ${KUBECONFIG:-} && -e $root/_output/kubeconfig ]]; then
  export KUBECONFIG=$root/_output/kubeconfig
fi

need() {
  if (($1 > $2)); then
    usage >&2
    exit 2
  fi
}

# guest tells a running machine's guest what to do.
guest() {
  local namespace="${2%%/*}" name="${2#*/}" vm
  if [[ $2 != */* ]]; then
    echo "fault.sh: name the machine as NAMESPACE/VM" >&2
    exit 2
  fi
  vm="$("$kubectl" --namespace "$namespace" get virtualservers.tensorstack.dev "$name" \
    --ignore-not-found --output 'jsonpath={.status.vm.name}' 2>/dev/null || true)"
  "$kubectl" --namespace "$namespace" annotate --overwrite virtualmachineinstances.kubevirt.io "${vm:-$name}" \
    "node-agent.tensorstack.dev/guest=$1"
}

# settings merges KEY=VALUE pairs into the namespace's ConfigMap.
settings() {
  local namespace="$1"
  shift
  local literals=()
  for pair in "$@"; do literals+=("--from-literal=$pair"); done
  "$kubectl" --namespace "$namespace" create configmap node-agent-faults "${literals[@]}" --dry-run=client --output yaml |
    "$kubectl" --namespace "$namespace" apply --server-side --force-conflicts --field-manager "fault-${1%%=*}" --filename -
}

command="${1:-}"
case "$command" in
  crash | panic | oom | shutdown | reboot)
    need 2 $#
    guest "$command" "$2"
    ;;
  lose-node)
    need 2 $#
    "$kubectl" annotate --overwrite node "$2" node-agent.tensorstack.dev/lost=true
    ;;
  restore-node)
    need 2 $#
    "$kubectl" annotate node "$2" node-agent.tensorstack.dev/lost-
    ;;
  fail-import)
    need 2 $#
    settings "$2" import=fail "importMessage=${3:-}"
    ;;
  stall-import)
    need 2 $#
    settings "$2" import=stall "importProgress=${3:-42}"
    ;;
  slow-import)
    need 3 $#
    settings "$2" "importSeconds=$3"
    ;;
  fail-boot)
    need 2 $#
    settings "$2" boot=fail
    ;;
  hang-boot)
    need 2 $#
    settings "$2" boot=hang
    ;;
  hang-stop)
    need 2 $#
    settings "$2" stop=hang
    ;;
  refuse-scheduling)
    need 2 $#
    settings "$2" scheduling=refuse
    ;;
  no-agent)
    need 2 $#
    settings "$2" guestAgent=absent
    ;;
  heal)
    need 2 $#
    "$kubectl" --namespace "$2" delete configmap node-agent-faults --ignore-not-found
    ;;
  status)
    "$kubectl" get nodes --output \
      'custom-columns=NODE:.metadata.name,LOST:.metadata.annotations.node-agent\.tensorstack\.dev/lost'
    "$kubectl" get configmaps --all-namespaces --field-selector metadata.name=node-agent-faults \
      --output 'custom-columns=NAMESPACE:.metadata.namespace,SETTINGS:.data'
    ;;
  help | -h | --help)
    usage
    ;;
  *)
    usage >&2
    exit 2
    ;;
esac
