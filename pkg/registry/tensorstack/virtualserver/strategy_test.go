package virtualserver

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apiserver/scheme"
)

func newStrategy() Strategy {
	return NewStrategy(scheme.Scheme, clocktesting.NewFakePassiveClock(now()))
}

func newServer() *tensorstack.VirtualServer {
	vs := &tensorstack.VirtualServer{ObjectMeta: metav1.ObjectMeta{Name: "vs", Namespace: "ns", ResourceVersion: "1", Generation: 3}}
	vs.Spec.RunStrategy = always
	vs.Status.RunStrategy = halted
	vs.Status.PrintableStatus = tensorstack.StatusRunning
	vs.Status.VM.Name = "managed-virtualserver-12345"
	return vs
}

func TestCreateEmptiesStatusAndPutsTheStrategyIntoForce(t *testing.T) {
	vs := newServer()
	vs.Status.RunStrategy = manual
	newStrategy().PrepareForCreate(context.Background(), vs)
	require.Len(t, vs.Status.Conditions, 1, "who waits by conditions must find one at once")
	assert.Equal(t, tensorstack.ConditionReady, vs.Status.Conditions[0].Type)
	assert.Equal(t, metav1.ConditionUnknown, vs.Status.Conditions[0].Status)
	vs.Status.Conditions = nil
	assert.Equal(t, tensorstack.VirtualServerStatus{RunStrategy: always}, vs.Status)
	assert.EqualValues(t, 1, vs.Generation)
}

func TestUpdateOfTheMainResource(t *testing.T) {
	for _, test := range []struct {
		name       string
		change     func(*tensorstack.VirtualServer)
		generation int64
		strategy   tensorstack.RunStrategy
	}{
		{"nothing", func(*tensorstack.VirtualServer) {}, 3, halted},
		{"a label", func(vs *tensorstack.VirtualServer) { vs.Labels = map[string]string{"a": "b"} }, 3, halted},
		{"the status", func(vs *tensorstack.VirtualServer) { vs.Status = tensorstack.VirtualServerStatus{} }, 3, halted},
		{"the spec", func(vs *tensorstack.VirtualServer) { vs.Spec.CloudInit = "#cloud-config" }, 4, halted},
		{"the run strategy", func(vs *tensorstack.VirtualServer) { vs.Spec.RunStrategy = manual }, 4, manual},
	} {
		t.Run(test.name, func(t *testing.T) {
			old, updated := newServer(), newServer()
			test.change(updated)
			newStrategy().PrepareForUpdate(context.Background(), updated, old)
			want := newServer().Status
			want.RunStrategy = test.strategy
			if test.strategy != halted {
				want.Message = "spec.runStrategy was set to Manual, about to be carried out"
			}
			assert.Equal(t, want, updated.Status)
			assert.Equal(t, test.generation, updated.Generation)
			assert.Equal(t, newServer(), old, "the old object belongs to the cache")
		})
	}
}

func TestEditOfTheStrategyEndsThePendingOperation(t *testing.T) {
	old := newServer()
	old.Status.PendingOperation = pendingOperation(restart, nil)
	updated := old.DeepCopy()
	updated.Spec.RunStrategy = halted
	newStrategy().PrepareForUpdate(context.Background(), updated, old)
	require.NotNil(t, updated.Status.PendingOperation)
	assert.Equal(t, stop, updated.Status.PendingOperation.Type, "the edit stands for what it took the place of")
	require.Len(t, updated.Status.Operations, 1)
	assert.Equal(t, tensorstack.OperationSuperseded, updated.Status.Operations[0].Result)
	assert.True(t, updated.Status.Operations[0].CompletedAt.Time.Equal(now()))
	assert.NotNil(t, old.Status.PendingOperation, "the old object belongs to the cache")
}

func TestEditOfTheStrategyIsAnOperation(t *testing.T) {
	ctx := genericapirequest.WithUser(context.Background(), &user.DefaultInfo{Name: "ann"})
	for _, test := range []struct {
		inForce, edited tensorstack.RunStrategy
		want            tensorstack.OperationType
	}{
		{always, halted, stop}, {manual, halted, stop}, {halted, rerun, start}, {manual, always, start},
		{halted, manual, ""}, {manual, manual, ""}, {rerun, rerun, ""},
	} {
		t.Run(fmt.Sprintf("from %s to %s", test.inForce, test.edited), func(t *testing.T) {
			old := newServer()
			old.Spec.RunStrategy, old.Status.RunStrategy = "another", test.inForce
			old.Status.VM.InstanceUID, old.Status.Message = "run-1", "as it was"
			updated := old.DeepCopy()
			updated.Spec.RunStrategy = test.edited
			newStrategy().PrepareForUpdate(ctx, updated, old)
			assert.Equal(t, test.inForce == test.edited, updated.Status.Message == "as it was", "what was true before is said no more")
			pending := updated.Status.PendingOperation
			if test.want == "" {
				assert.Nil(t, pending)
				return
			}
			require.NotNil(t, pending)
			assert.Equal(t, test.want, pending.Type)
			assert.Equal(t, "ann", pending.RequestedBy)
			assert.Equal(t, test.inForce, pending.FromRunStrategy)
			assert.Equal(t, test.edited, pending.ToRunStrategy)
			assert.Equal(t, types.UID("run-1"), pending.InstanceUID)
			assert.NotEmpty(t, pending.ID)
		})
	}
}

func TestUpdateOfTheStatus(t *testing.T) {
	old, updated := newServer(), newServer()
	updated.Spec.CloudInit = "changed"
	updated.Labels = map[string]string{"a": "b"}
	updated.Finalizers = []string{"a.example/b"}
	updated.Status.Node = "node-a"
	strategy := NewStatusStrategy(newStrategy())
	strategy.PrepareForUpdate(context.Background(), updated, old)
	want := newServer()
	want.Status.Node = "node-a"
	assert.Equal(t, want, updated)
	assert.False(t, strategy.AllowUnconditionalUpdate(context.Background()))
}

func TestResetFields(t *testing.T) {
	version := fieldpath.APIVersion("tensorstack.dev/v1beta1")
	main := newStrategy().GetResetFields()[version]
	require.NotNil(t, main)
	assert.True(t, main.Has(fieldpath.MakePathOrDie("status")))
	status := NewStatusStrategy(newStrategy()).GetResetFields()[version]
	require.NotNil(t, status)
	assert.True(t, status.Has(fieldpath.MakePathOrDie("spec")))
	assert.True(t, status.Has(fieldpath.MakePathOrDie("metadata", "labels")))
	assert.False(t, status.Has(fieldpath.MakePathOrDie("status")))
}

func TestSelection(t *testing.T) {
	vs := newServer()
	vs.Labels = map[string]string{"tier": "db"}
	for _, test := range []struct {
		label, field string
		want         bool
	}{
		{"", "", true},
		{"tier=db", "", true},
		{"tier=web", "", false},
		{"", "metadata.name=vs,metadata.namespace=ns", true},
		{"", "spec.runStrategy=Always,status.runStrategy=Halted", true},
		{"", "status.printableStatus=Running", true},
		{"", "status.printableStatus!=Running", false},
		{"", "status.vm.name=managed-virtualserver-12345", true},
		{"", "status.vm.name=managed-virtualserver-54321", false},
	} {
		label, err := labels.Parse(test.label)
		require.NoError(t, err)
		field, err := fields.ParseSelector(test.field)
		require.NoError(t, err)
		predicate := Match(label, field)
		matches, err := predicate.Matches(vs)
		require.NoError(t, err)
		assert.Equal(t, test.want, matches, "%s %s", test.label, test.field)
	}
}

func TestTable(t *testing.T) {
	vs := newServer()
	vs.CreationTimestamp = metav1.NewTime(time.Now().Add(-2 * time.Hour))
	vs.Status.RunStrategy = always
	vs.Status.Node = "node-a"
	vs.Status.IPAddresses = []string{"10.0.0.7", "fd00::7"}
	vs.Spec.Resources.GPU = &tensorstack.GPU{Type: "nvidia.com/A100", Count: 2}
	vs.Status.Conditions = []metav1.Condition{{Type: tensorstack.ConditionReady, Status: metav1.ConditionTrue}}
	fresh := &tensorstack.VirtualServer{ObjectMeta: metav1.ObjectMeta{Name: "fresh"}}
	deleted := newServer()
	deleted.DeletionTimestamp = &metav1.Time{Time: time.Now()}

	remaining := int64(7)
	list := &tensorstack.VirtualServerList{
		ListMeta: metav1.ListMeta{ResourceVersion: "42", Continue: "more", RemainingItemCount: &remaining},
		Items:    []tensorstack.VirtualServer{*vs, *fresh, *deleted},
	}
	table, err := TableConvertor{}.ConvertToTable(context.Background(), list, nil)
	require.NoError(t, err)
	assert.Equal(t, "42", table.ResourceVersion)
	assert.Equal(t, "more", table.Continue)
	assert.Equal(t, &remaining, table.RemainingItemCount)
	var narrow, all []string
	for _, column := range table.ColumnDefinitions {
		all = append(all, column.Name)
		if column.Priority == 0 {
			narrow = append(narrow, column.Name)
		}
	}
	assert.Equal(t, []string{"Name", "Status", "Ready", "Strategy", "VM", "CPU", "Memory", "IP", "Age", "Reason"}, narrow)
	require.Len(t, table.Rows, 3)
	for _, row := range table.Rows {
		assert.Len(t, row.Cells, len(all))
	}
	assert.Equal(t, []any{
		"vs", "Running", "True", "Always", "managed-virtualserver-12345", "0", "0", "2 x nvidia.com/A100", "10.0.0.7", "node-a", "120m", "", "",
	}, table.Rows[0].Cells)
	assert.Equal(t, "Provisioning", table.Rows[1].Cells[1])
	assert.Equal(t, "Unknown", table.Rows[1].Cells[2])
	assert.Equal(t, "Terminating", table.Rows[2].Cells[1])

	empty, err := TableConvertor{}.ConvertToTable(context.Background(), &tensorstack.VirtualServerList{}, &metav1.TableOptions{NoHeaders: true})
	require.NoError(t, err)
	assert.Empty(t, empty.Rows)
	assert.Empty(t, empty.ColumnDefinitions)

	_, err = TableConvertor{}.ConvertToTable(context.Background(), &metav1.Status{}, nil)
	assert.Error(t, err)
}

// What keeps a machine from running stands in the default table in one word.
func TestReasonColumn(t *testing.T) {
	condition := func(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: reason}
	}
	imported, ready := tensorstack.ConditionDataImported, tensorstack.ConditionReady
	for name, test := range map[string]struct {
		state      tensorstack.PrintableStatus
		phase      string
		conditions []metav1.Condition
		want       string
	}{
		"not found":         {"Provisioning", "ImportInProgress", []metav1.Condition{condition(imported, "False", "ImportError")}, "ImportError"},
		"imports":           {"Provisioning", "ImportInProgress", []metav1.Condition{condition(imported, "False", "ImportInProgress")}, ""},
		"not begun":         {"Provisioning", "", []metav1.Condition{condition(imported, "False", "NotCreated")}, ""},
		"quota":             {"Starting", "", []metav1.Condition{condition(ready, "False", "QuotaExceeded")}, "QuotaExceeded"},
		"GPU":               {"Starting", "", []metav1.Condition{condition(ready, "False", "HostDeviceNotPermitted")}, "HostDeviceNotPermitted"},
		"starts":            {"Starting", "", []metav1.Condition{condition(ready, "False", "GuestNotRunning")}, ""},
		"stopped":           {"Stopped", "", []metav1.Condition{condition(ready, "False", "VMINotExists")}, ""},
		"halted, no disk":   {"Stopped", "Pending", []metav1.Condition{condition(imported, "False", "StorageClassNotFound")}, "StorageClassNotFound"},
		"refused":           {"Provisioning", "", []metav1.Condition{condition(tensorstack.ConditionReconciled, "False", "Refused")}, "Refused"},
		"crashed":           {"CrashLoopBackOff", "", []metav1.Condition{condition(tensorstack.ConditionFailure, "True", "OOMKilled")}, "OOMKilled"},
		"recovered":         {"Running", "", []metav1.Condition{condition(tensorstack.ConditionFailure, "False", "Recovered")}, ""},
		"runs all the same": {"Running", "", []metav1.Condition{condition(tensorstack.ConditionReconciled, "False", "Refused")}, ""},
	} {
		status := &tensorstack.VirtualServerStatus{PrintableStatus: test.state, Conditions: test.conditions}
		if test.phase != "" {
			status.Import = &tensorstack.ImportStatus{Phase: test.phase}
		}
		assert.Equal(t, test.want, trouble(status), name)
	}
}
