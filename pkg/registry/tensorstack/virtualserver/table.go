package virtualserver

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/quantity"
)

// TableConvertor prints VirtualServers as "kubectl get" shows them.
type TableConvertor struct{}

var _ rest.TableConvertor = TableConvertor{}

// wide is the priority of the columns that only "kubectl get -o wide" shows.
const wide = 1

func columns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		{Name: "Name", Type: "string", Format: "name", Description: "Name of the VirtualServer."},
		{Name: "Status", Type: "string", Description: "State of the machine in one word (status.printableStatus)."},
		{Name: "Ready", Type: "string", Description: "Whether the machine runs (condition Ready)."},
		{Name: "Strategy", Type: "string", Description: "Run strategy in force (status.runStrategy)."},
		{Name: "VM", Type: "string", Description: "KubeVirt VirtualMachine behind it (status.vm.name)."},
		{Name: "CPU", Type: "string", Description: "CPU cores that the machine runs with, and after an arrow those after its next restart."},
		{Name: "Memory", Type: "string", Description: "Memory that the machine runs with, and after an arrow that after its next restart."},
		{Name: "GPU", Type: "string", Priority: wide, Description: "GPUs: number and type."},
		{Name: "IP", Type: "string", Description: "First address by which the machine is reached."},
		{Name: "Node", Type: "string", Priority: wide, Description: "Node that the machine runs on."},
		{Name: "Age", Type: "string", Description: "Time since the VirtualServer was created."},
		{Name: "Reason", Type: "string", Description: "In one word, what keeps the machine from running, such as ImportError."},
		{Name: "Message", Type: "string", Priority: wide, Description: "Why the machine does not run."},
	}
}

// ConvertToTable turns a VirtualServer or a list of them into a table.
func (TableConvertor) ConvertToTable(_ context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{}
	if opts, ok := options.(*metav1.TableOptions); !ok || !opts.NoHeaders {
		table.ColumnDefinitions = columns()
	}
	if list, err := meta.ListAccessor(obj); err == nil {
		table.ResourceVersion = list.GetResourceVersion()
		table.Continue = list.GetContinue()
		table.RemainingItemCount = list.GetRemainingItemCount()
	} else if single, err := meta.CommonAccessor(obj); err == nil {
		table.ResourceVersion = single.GetResourceVersion()
	}
	rows, err := metatable.MetaToTableRow(obj, func(obj runtime.Object, m metav1.Object, _, age string) ([]any, error) {
		vs, ok := obj.(*tensorstack.VirtualServer)
		if !ok {
			return nil, fmt.Errorf("cannot print a %T as a VirtualServer", obj)
		}
		return cells(vs, age), nil
	})
	if err != nil {
		return nil, err
	}
	table.Rows = rows
	return table, nil
}

// cells are the cells of one row, in the order of columns. What is not known is left empty, except the state: an object
// that the controller has not looked at yet is Provisioning for people.
func cells(vs *tensorstack.VirtualServer, age string) []any {
	state := vs.Status.PrintableStatus
	if vs.DeletionTimestamp != nil {
		state = tensorstack.StatusTerminating
	}
	if state == "" {
		state = tensorstack.StatusProvisioning
	}
	ready := string(metav1.ConditionUnknown)
	if condition := meta.FindStatusCondition(vs.Status.Conditions, tensorstack.ConditionReady); condition != nil {
		ready = string(condition.Status)
	}
	var gpu, address string
	if g := vs.Spec.Resources.GPU; g != nil {
		gpu = strconv.Itoa(int(g.Count)) + " x " + g.Type
	}
	if len(vs.Status.IPAddresses) > 0 {
		address = vs.Status.IPAddresses[0]
	}
	return []any{
		vs.Name, string(state), ready, string(vs.Status.RunStrategy), vs.Status.VM.Name,
		cores(vs), memory(vs), gpu,
		address, vs.Status.Node, age, trouble(&vs.Status), vs.Status.Message,
	}
}

// cores are the CPU cores of a machine: those that it runs with, and those of the spec if they come with the next restart.
func cores(vs *tensorstack.VirtualServer) string {
	wanted, err := quantity.Cores(vs.Spec.Resources.CPU.Cores)
	if err != nil {
		return vs.Spec.Resources.CPU.Cores.String()
	}
	if runs := vs.Status.Resources; runs != nil && runs.Cores != int32(wanted) {
		return fmt.Sprintf("%d -> %d", runs.Cores, wanted)
	}
	return fmt.Sprint(wanted)
}

// memory is the memory of a machine, as cores are its cores.
func memory(vs *tensorstack.VirtualServer) string {
	wanted := vs.Spec.Resources.Memory.String()
	if runs := vs.Status.Resources; runs != nil && runs.Memory.Cmp(vs.Spec.Resources.Memory) != 0 {
		return fmt.Sprintf("%s -> %s", runs.Memory.String(), wanted)
	}
	return wanted
}

// trouble is the reason of the condition that keeps the machine from running, or empty if none does: of what goes on by itself
// the state tells enough.
func trouble(status *tensorstack.VirtualServerStatus) string {
	switch status.PrintableStatus {
	case tensorstack.StatusRunning, tensorstack.StatusPaused, tensorstack.StatusMigrating, tensorstack.StatusTerminating:
		return ""
	}
	for _, look := range []struct {
		kind    string
		bad     metav1.ConditionStatus
		nothing func(reason string) bool
	}{
		{tensorstack.ConditionReconciled, metav1.ConditionFalse, func(string) bool { return false }},
		{tensorstack.ConditionDataImported, metav1.ConditionFalse, func(reason string) bool {
			return reason == "Pending" || reason == "NotCreated" || status.Import != nil && reason == status.Import.Phase
		}},
		{tensorstack.ConditionReady, metav1.ConditionFalse, func(reason string) bool { return !blocks(reason) }},
		{tensorstack.ConditionFailure, metav1.ConditionTrue, func(string) bool { return false }},
	} {
		condition := meta.FindStatusCondition(status.Conditions, look.kind)
		if condition != nil && condition.Status == look.bad && !look.nothing(condition.Reason) {
			return condition.Reason
		}
	}
	return ""
}

// blocks says whether a reason of Ready is one that does not go away by itself, by the way that these are named.
func blocks(reason string) bool {
	for _, end := range []string{"NotFound", "Exceeded", "NotPermitted", "Refused"} {
		if strings.HasSuffix(reason, end) {
			return true
		}
	}
	return false
}
