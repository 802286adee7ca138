package crash

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// virtualMachines and virtualMachineInstances are the resources that the storm watches.
func virtualMachines() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: "virtualmachines"}
}

func virtualMachineInstances() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: "virtualmachineinstances"}
}

// identities are the UIDs of everything behind the machines of the namespace, by kind and name. An object that was
// deleted, or deleted and made again, is not in them or has another UID; one that is being deleted says so.
func identities(e *framework.Environment) map[string]string {
	e.T.Helper()
	found := map[string]string{}
	for _, resource := range []schema.GroupVersionResource{
		virtualMachines(), virtualMachineInstances(),
		{Group: "cdi.kubevirt.io", Version: "v1beta1", Resource: "datavolumes"},
		{Version: "v1", Resource: "persistentvolumeclaims"},
		{Version: "v1", Resource: "services"},
		{Version: "v1", Resource: "secrets"},
	} {
		list, err := e.Dynamic.Resource(resource).Namespace(e.Namespace).List(e.Context, metav1.ListOptions{})
		require.NoError(e.T, err)
		for _, item := range list.Items {
			uid := string(item.GetUID())
			if item.GetDeletionTimestamp() != nil {
				uid += " (being deleted)"
			}
			found[resource.Resource+"/"+item.GetName()] = uid
		}
	}
	return found
}

// without returns the identities of all machines but one.
func without(all map[string]string, machine string) map[string]string {
	rest := maps.Clone(all)
	maps.DeleteFunc(rest, func(object, _ string) bool {
		return slices.Contains([]string{
			"virtualmachines/" + machine, "virtualmachineinstances/" + machine, "datavolumes/" + machine,
			"persistentvolumeclaims/" + machine, "services/" + machine, "secrets/" + machine,
		}, object)
	})
	return rest
}

// withEverything gives a machine all the objects that a VirtualServer can have behind it.
func withEverything(vs *v1beta1.VirtualServer) {
	vs.Spec.CloudInit = "#cloud-config\nhostname: machine\n"
	vs.Spec.Network.TCP = []int32{22}
}

// waitOtherInstance waits until the machine runs in another instance than before and nothing is pending.
func waitOtherInstance(e *framework.Environment, name string, before types.UID) *v1beta1.VirtualServer {
	e.T.Helper()
	return e.Wait(name, "runs in another instance", func(vs *v1beta1.VirtualServer) string {
		switch {
		case vs.Status.PendingOperation != nil:
			return fmt.Sprintf("%s is pending", vs.Status.PendingOperation.Type)
		case vs.Status.PrintableStatus != v1beta1.StatusRunning || vs.Status.VM.InstanceUID == before:
			return "not yet"
		}
		return ""
	})
}
