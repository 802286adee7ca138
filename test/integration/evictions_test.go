package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// launcher is the pod that a machine runs in.
func launcher(e *framework.Environment, vs *v1beta1.VirtualServer) string {
	e.T.Helper()
	pods, err := e.Kube.CoreV1().Pods(e.Namespace).List(e.Context, metav1.ListOptions{
		LabelSelector: kubevirtv1.CreatedByLabel + "=" + string(vs.Status.VM.InstanceUID)})
	require.NoError(e.T, err)
	require.Len(e.T, pods.Items, 1)
	return pods.Items[0].Name
}

// takePod are the ways in which a machine loses its pod, against which KubeVirt says Succeeded, or Failed.
func takePod() map[string]func(e *framework.Environment, pod string) error {
	return map[string]func(e *framework.Environment, pod string) error{
		"evicted, as by a drain": func(e *framework.Environment, pod string) error {
			return e.Kube.CoreV1().Pods(e.Namespace).EvictV1(e.Context, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod}})
		},
		"deleted by hand": func(e *framework.Environment, pod string) error {
			return e.Kube.CoreV1().Pods(e.Namespace).Delete(e.Context, pod, metav1.DeleteOptions{})
		},
		"removed by force": func(e *framework.Environment, pod string) error {
			return e.Kube.CoreV1().Pods(e.Namespace).Delete(e.Context, pod, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
		},
		"evicted, and the guest does not listen": func(e *framework.Environment, pod string) error {
			e.Faults(map[string]string{"stop": "hang"})
			return e.Kube.CoreV1().Pods(e.Namespace).EvictV1(e.Context, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod},
				DeleteOptions: &metav1.DeleteOptions{}})
		},
	}
}

func TestEvictedMachine(t *testing.T) {
	t.Parallel()
	for what, take := range takePod() {
		for _, strategy := range []v1beta1.RunStrategy{
			v1beta1.RunStrategyRerunOnFailure, v1beta1.RunStrategyAlways, v1beta1.RunStrategyManual} {
			t.Run(what+" under "+string(strategy), func(t *testing.T) {
				t.Parallel()
				e := framework.New(t)
				e.Create(framework.Minimal("machine", framework.WithStrategy(strategy)))
				if strategy == v1beta1.RunStrategyManual {
					e.WaitSettled("machine", v1beta1.StatusStopped)
					e.WaitCondition("machine", v1beta1.ConditionDataImported, metav1.ConditionTrue)
					e.MustOperate("machine", "start")
				}
				before := e.WaitSettled("machine", v1beta1.StatusRunning)
				require.NoError(t, take(e, launcher(e, before)))
				after := e.Wait("machine", "has been evicted", func(vs *v1beta1.VirtualServer) string {
					failure := vs.Status.LastFailure
					switch {
					case failure == nil:
						return "no failure yet"
					case failure.Reason != "Evicted" || failure.InstanceUID != before.Status.VM.InstanceUID:
						return fmt.Sprintf("the failure is %+v", failure)
					case strategy == v1beta1.RunStrategyManual && vs.Status.PrintableStatus == v1beta1.StatusStopped:
						return ""
					case strategy != v1beta1.RunStrategyManual && vs.Status.PrintableStatus == v1beta1.StatusRunning &&
						vs.Status.VM.InstanceUID != before.Status.VM.InstanceUID && vs.Status.PendingOperation == nil:
						return ""
					}
					return "it is " + string(vs.Status.PrintableStatus)
				})
				evictions := 0
				for _, record := range after.Status.Operations {
					if record.Type == v1beta1.OperationEvict {
						evictions++
						assert.Contains(t, record.Message, "Evicted")
					}
				}
				assert.Equal(t, 1, evictions, "%+v", after.Status.Operations)
				assert.Equal(t, strategy, after.Status.RunStrategy)
			})
		}
	}
}

// A guest that shuts down by itself stays down: that is no eviction.
func TestShutdownIsNoEviction(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine", framework.WithStrategy(v1beta1.RunStrategyRerunOnFailure)))
	before := e.WaitSettled("machine", v1beta1.StatusRunning)
	e.GuestFault(before.Status.VM.Name, "shutdown")
	after := e.WaitSettled("machine", v1beta1.StatusStopped)
	assert.Nil(t, after.Status.LastFailure)
	assert.Equal(t, "NoFailure", findCondition(after, v1beta1.ConditionFailure).Reason)
	assert.Empty(t, after.Status.Operations)
}

// A stop of a machine that imports has succeeded as soon as nothing runs: the import goes on, and is told of.
func TestStopDuringTheImport(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Faults(map[string]string{"import": "stall", "importProgress": "42"})
	e.Create(framework.Minimal("machine"))
	e.WaitStatus("machine", v1beta1.StatusProvisioning)
	e.MustOperate("machine", "stop")
	vs := e.Wait("machine", "is stopped while its disk is imported", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusStopped || vs.Status.PendingOperation != nil || vs.Status.Import == nil ||
			vs.Status.Import.Progress != "42.00%" {
			return "it is " + string(vs.Status.PrintableStatus)
		}
		return ""
	})
	assert.Contains(t, vs.Status.Message, "Run strategy is Halted; use start to run the machine.")
	assert.Contains(t, vs.Status.Message, "42.00%")
	assert.Nil(t, e.Instance(vs.Status.VM.Name))
}

// The guest of a paused machine is let go, so that it can shut down before its grace period ends.
func TestStopOfAPausedMachine(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	e.WaitSettled("machine", v1beta1.StatusRunning)
	e.MustOperate("machine", "pause")
	e.WaitStatus("machine", v1beta1.StatusPaused)
	e.MustOperate("machine", "stop")
	e.Wait("machine", "has stopped and not been killed", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusStopped {
			return "it is " + string(vs.Status.PrintableStatus)
		}
		return ""
	})
	events := e.Kubectl("get", "events", "-o", "jsonpath={.items[*].reason}")
	assert.Contains(t, events.Stdout, "UnpausedToStop")
}

func TestImportThatANamespaceDoesNotAllow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hard   corev1.ResourceList
		limits *corev1.LimitRangeItem
		reason string
		says   string
	}{
		"no pods": {corev1.ResourceList{"pods": resource.MustParse("0")}, nil, "QuotaExceeded", `ResourceQuota "tight" allows 0 of pods`},
		"little CPU": {corev1.ResourceList{"limits.cpu": resource.MustParse("100m")}, nil, "QuotaExceeded",
			`ResourceQuota "tight" allows 100m of limits.cpu`},
		"no room for the disk": {corev1.ResourceList{"requests.storage": resource.MustParse("1Mi")}, nil, "QuotaExceeded", "requests.storage"},
		"small containers": {nil, &corev1.LimitRangeItem{Type: corev1.LimitTypeContainer,
			Max: corev1.ResourceList{"cpu": resource.MustParse("200m")}}, "LimitExceeded", `LimitRange "tight" allows a Container at most 200m of cpu`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := framework.New(t)
			meta := metav1.ObjectMeta{Name: "tight"}
			if test.limits != nil {
				_, err := e.Kube.CoreV1().LimitRanges(e.Namespace).Create(e.Context, &corev1.LimitRange{ObjectMeta: meta,
					Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{*test.limits}}}, metav1.CreateOptions{})
				require.NoError(t, err)
			} else {
				_, err := e.Kube.CoreV1().ResourceQuotas(e.Namespace).Create(e.Context, &corev1.ResourceQuota{ObjectMeta: meta,
					Spec: corev1.ResourceQuotaSpec{Hard: test.hard}}, metav1.CreateOptions{})
				require.NoError(t, err)
				e.Eventually("the quota is in force", func() error {
					quota, err := e.Kube.CoreV1().ResourceQuotas(e.Namespace).Get(e.Context, "tight", metav1.GetOptions{})
					if err == nil && len(quota.Status.Hard) == 0 {
						err = errMissing("the status of the quota")
					}
					return err
				})
			}
			e.Create(framework.Minimal("machine"))
			e.Wait("machine", "names what does not allow it", func(vs *v1beta1.VirtualServer) string {
				imported := findCondition(vs, v1beta1.ConditionDataImported)
				if imported == nil || imported.Reason != test.reason {
					return fmt.Sprintf("%+v", imported)
				}
				assert.Contains(t, imported.Message, test.says)
				return ""
			})
		})
	}
}

func TestMissingObjectsAreNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		edit   func(*v1beta1.VirtualServer)
		reason string
		says   string
	}{
		"claim": {func(vs *v1beta1.VirtualServer) {
			vs.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{{Name: "data", VolumeSource: v1beta1.VolumeSource{
				PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: "nowhere"}}}}
		}, "ClaimNotFound", "PersistentVolumeClaim nowhere does not exist, which spec.storage.additionalDisks[0].persistentVolumeClaim names."},
		"cloud-init": {func(vs *v1beta1.VirtualServer) {
			vs.Spec.CloudInit, vs.Spec.CloudInitSecretRef = "", &corev1.LocalObjectReference{Name: "nowhere"}
		}, "SecretNotFound", "Secret nowhere does not exist, which spec.cloudInitSecretRef names."},
		"public keys": {func(vs *v1beta1.VirtualServer) {
			vs.Spec.SSHKeys = &v1beta1.SSHKeys{SecretRef: corev1.LocalObjectReference{Name: "nowhere"}}
		}, "SecretNotFound", "Secret nowhere does not exist, which spec.sshKeys.secretRef names."},
		"ConfigMap": {func(vs *v1beta1.VirtualServer) {
			vs.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{{Name: "data", VolumeSource: v1beta1.VolumeSource{
				ConfigMap: &v1beta1.ConfigMapSource{Name: "nowhere"}}}}
		}, "ConfigMapNotFound", "ConfigMap nowhere does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := framework.New(t)
			e.Create(framework.Minimal("machine", test.edit))
			e.Wait("machine", "names what is missing", func(vs *v1beta1.VirtualServer) string {
				ready := findCondition(vs, v1beta1.ConditionReady)
				if ready == nil || ready.Reason != test.reason {
					return fmt.Sprintf("%+v", ready)
				}
				if !strings.Contains(vs.Status.Message, test.says) {
					return "the message does not say yet: " + test.says // First it tells of the import.
				}
				return ""
			})
		})
	}
}
