package main

import (
	"fmt"
	"io"

	"tensorstack.dev/virtualserver/test/controlplane"
)

// printAccess says how to reach the control plane from another terminal.
func printAccess(out io.Writer, plane *controlplane.ControlPlane) {
	fmt.Fprintf(out, `
In another terminal:
  export KUBECONFIG=%s
  export PATH=%s:$PATH
  kubectl get nodes
`, plane.KubeconfigPath(), plane.Binary(""))
}

// printOperations lists what a newcomer tries first.
func printOperations(out io.Writer, plane *controlplane.ControlPlane, machine string) {
	fmt.Fprintf(out, `
Look at the VirtualServer:
  kubectl get virtualservers
  kubectl describe virtualserver %[1]s
  kubectl explain virtualservers.spec.storage

Stop and start it with curl and a token:
  kubectl create serviceaccount operator
  kubectl create role operator --verb=create --resource=virtualservers.tensorstack.dev/start,virtualservers.tensorstack.dev/stop
  kubectl create rolebinding operator --role=operator --serviceaccount=default:operator
  TOKEN=$(kubectl create token operator)
  SERVER=%[2]s/apis/tensorstack.dev/v1beta1/namespaces/default/virtualservers/%[1]s
  curl --cacert %[3]s -H "Authorization: Bearer $TOKEN" -X POST $SERVER/stop
  curl --cacert %[3]s -H "Authorization: Bearer $TOKEN" -X POST $SERVER/start

Open its serial console (Ctrl-] leaves):
  kubectl virt console %[4]s

Make the node agent misbehave:
  kubectl annotate vmi %[4]s node-agent.tensorstack.dev/guest=crash
`, exampleName, plane.AdminConfig().Host, plane.ClusterCAFile(), machine)
}
