package virtualserver

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

func TestRefusalByKubeVirtIsShown(t *testing.T) {
	b := newBench(t, testServer())
	b.kubevirt.fail = func(call string) error {
		if call != "create VirtualMachine" {
			return nil
		}
		return apierrors.NewInvalid(kubevirtv1.VirtualMachineGroupVersionKind.GroupKind(), "x", field.ErrorList{
			field.Invalid(field.NewPath("spec", "template", "spec", "domain", "cpu", "model"), "z", "no such model"),
		})
	}
	_, events, err := b.pass("web")
	require.Error(t, err, "it is tried again")
	condition := meta.FindStatusCondition(b.server("web").Status.Conditions, v1beta1.ConditionReconciled)
	require.NotNil(t, condition)
	assert.Equal(t, metav1.ConditionFalse, condition.Status)
	assert.Equal(t, reasonRefused, condition.Reason)
	assert.Contains(t, condition.Message, "spec.resources.cpu.model")
	assert.Equal(t, condition.Message, b.server("web").Status.Message)
	assert.Contains(t, strings.Join(events, "\n"), "ReconcileFailed")

	_, events, err = b.pass("web")
	require.Error(t, err)
	assert.Equal(t, []string{"create VirtualMachine"}, b.writes(), "the status does not change again")
	assert.Empty(t, events)

	b.kubevirt.fail = func(string) error { return nil }
	b.settle("web")
	assert.True(t, meta.IsStatusConditionTrue(b.server("web").Status.Conditions, v1beta1.ConditionReconciled))
}

func TestRefusedOperationWaits(t *testing.T) {
	vs := testServer()
	vs.Spec.RunStrategy, vs.Status.RunStrategy = manual, manual
	b := newBench(t, vs)
	b.settle("web")
	vs = b.server("web")
	vs.Status.PendingOperation = &v1beta1.Operation{
		ID: "op", Type: v1beta1.OperationStart, RequestedBy: "alice", FromRunStrategy: manual, ToRunStrategy: manual,
	}
	b.updateStatus(vs)

	b.kubevirt.fail = func(string) error {
		return apierrors.NewConflict(kubevirtv1.Resource("virtualmachine"), "x", errors.New("VM is already running"))
	}
	result, _, err := b.pass("web")
	require.NoError(t, err)
	assert.True(t, result.retry)
	require.NotNil(t, b.server("web").Status.PendingOperation)
	assert.Contains(t, b.server("web").Status.PendingOperation.Message, "VM is already running")

	b.kubevirt.fail = func(string) error { return nil }
	_, _, err = b.pass("web")
	require.NoError(t, err)
	assert.Contains(t, b.writes(), "start")
	assert.Equal(t, messageAsked, b.server("web").Status.PendingOperation.Message)

	name := vs.Status.VM.Name
	vmi := instance("new", kubevirtv1.Scheduling)
	vmi.Namespace, vmi.Name, vmi.Labels = testNamespace, name, map[string]string{translate.LabelUID: "vs-uid"}
	b.kubevirt.instances[name] = vmi
	_, events, err := b.pass("web")
	require.NoError(t, err)
	status := b.server("web").Status
	assert.Nil(t, status.PendingOperation)
	require.Len(t, status.Operations, 1)
	assert.Equal(t, v1beta1.OperationSucceeded, status.Operations[0].Result)
	assert.Contains(t, strings.Join(events, "\n"), "Started by alice")
	b.settle("web")
}

// What is refused keeps a machine from starting, never from stopping.
func TestRefusedChange(t *testing.T) {
	for _, wanted := range []v1beta1.RunStrategy{always, manual, halted} {
		t.Run(string(wanted), func(t *testing.T) {
			vs := testServer()
			vs.Spec.RunStrategy, vs.Status.RunStrategy = rerun, rerun
			b := newBench(t, vs)
			b.settle("web")
			vs = b.server("web")
			vs.Spec.Resources.Memory = resource.MustParse("3Gi")
			vs.Status.RunStrategy = wanted
			vs.Status.PendingOperation = &v1beta1.Operation{Type: v1beta1.OperationStart, FromRunStrategy: rerun, ToRunStrategy: wanted}
			b.update(vs)
			patches := 0
			b.kubevirt.fail = func(call string) error {
				if patches++; call != "patch VirtualMachine" || patches > 1 {
					return nil
				}
				return apierrors.NewForbidden(kubevirtv1.Resource("virtualmachines"), "x", errors.New("too much memory"))
			}

			_, _, err := b.pass("web")
			require.Error(t, err, "it is tried again")
			machine := b.kubevirt.machines[vs.Status.VM.Name]
			if assert.NotNil(t, machine.Spec.RunStrategy); wanted == always {
				assert.Equal(t, kubevirtv1.RunStrategyRerunOnFailure, *machine.Spec.RunStrategy)
			} else {
				assert.Equal(t, kubevirtv1.VirtualMachineRunStrategy(wanted), *machine.Spec.RunStrategy)
				assert.Equal(t, string(wanted), machine.Annotations[translate.AnnotationAppliedRunStrategy])
			}
			assert.Equal(t, "1Gi", machine.Spec.Template.Spec.Domain.Memory.Guest.String())
			assert.NotContains(t, b.kubevirt.calls, "start", "it would be a machine of another spec than the user sees")
			require.NotNil(t, b.server("web").Status.PendingOperation)
			condition := meta.FindStatusCondition(b.server("web").Status.Conditions, v1beta1.ConditionReconciled)
			require.NotNil(t, condition)
			assert.Contains(t, condition.Message, "too much memory")
		})
	}
}

// A restart is carried out although the change that it was meant for is refused, and says so.
func TestRestartWhileTheChangeIsRefused(t *testing.T) {
	for name, refusal := range map[string]error{
		"refused":   apierrors.NewBadRequest("too much memory"),
		"forbidden": apierrors.NewForbidden(kubevirtv1.Resource("virtualmachines"), "x", errors.New("policy")),
		"webhook":   apierrors.NewInternalError(errors.New("failed calling webhook")),
		"taken":     nil,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, testServer())
			b.settle("web")
			vs := b.server("web")
			vs.Spec.Resources.Memory = resource.MustParse("3Gi")
			vs.Status.PendingOperation = &v1beta1.Operation{
				Type: v1beta1.OperationRestart, FromRunStrategy: always, ToRunStrategy: always, InstanceUID: "old", Message: messageAsked,
			}
			b.update(vs)
			vmi := instance("new", kubevirtv1.Scheduling)
			vmi.Namespace, vmi.Name, vmi.Labels = testNamespace, vs.Status.VM.Name, map[string]string{translate.LabelUID: "vs-uid"}
			b.kubevirt.instances[vs.Status.VM.Name] = vmi
			b.kubevirt.fail = func(call string) error {
				if call == "patch VirtualMachine" {
					return refusal
				}
				return nil
			}

			_, _, err := b.pass("web")
			assert.Equal(t, refusal != nil, err != nil)
			status := b.server("web").Status
			require.Len(t, status.Operations, 1)
			assert.Equal(t, v1beta1.OperationSucceeded, status.Operations[0].Result)
			assert.Equal(t, refusal != nil, status.Operations[0].Message == messageOldSpec, status.Operations[0].Message)
		})
	}
}
