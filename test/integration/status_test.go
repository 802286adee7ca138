package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

func TestImportThatStallsShowsItsProgress(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Faults(map[string]string{"import": "stall", "importProgress": "42"})
	e.Create(framework.Minimal("machine"))
	vs := e.Wait("machine", "shows the import's progress", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusProvisioning || vs.Status.Import == nil || vs.Status.Import.Progress != "42.00%" ||
			!strings.Contains(vs.Status.Message, "42") {
			return "no progress of 42.00%"
		}
		return ""
	})
	assert.Equal(t, metav1.ConditionFalse, findCondition(vs, v1beta1.ConditionDataImported).Status)
	e.Faults(map[string]string{})
	e.WaitStatus("machine", v1beta1.StatusRunning)
}

func TestImportThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.Source.HTTP.URL = "https://images.example.com/does-not-exist.img"
	}))
	vs := e.Wait("machine", "shows the importer's error", func(vs *v1beta1.VirtualServer) string {
		condition := findCondition(vs, v1beta1.ConditionDataImported)
		if condition == nil || condition.Status != metav1.ConditionFalse || vs.Status.Import == nil || vs.Status.Import.LastError == "" || !strings.Contains(vs.Status.Message, "404") {
			return "no error of the importer"
		}
		return ""
	})
	assert.Equal(t, v1beta1.StatusProvisioning, vs.Status.PrintableStatus)
	assert.Contains(t, vs.Status.Import.LastError, "404")

	// A disk that was never imported takes another source.
	vs.Spec.Storage.Root.Source.HTTP.URL = "https://images.example.com/disk.img"
	e.MustKubectl("patch", "virtualserver", "machine", "--type=merge", "-p",
		`{"spec":{"storage":{"root":{"source":{"http":{"url":"https://images.example.com/disk.img"}}}}}}`)
	e.WaitStatus("machine", v1beta1.StatusRunning)
}

func TestMachineThatNoNodeCanTake(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Resources.Memory = resource.MustParse("10Ti")
	}))
	e.WaitStatus("machine", v1beta1.StatusFailedUnschedulable)
	e.Wait("machine", "says what the nodes lack", func(vs *v1beta1.VirtualServer) string {
		if !strings.Contains(vs.Status.Message, "Insufficient memory") {
			return "no word of memory"
		}
		return ""
	})
}

func TestCrashIsAFailureAndKeepsItsCause(t *testing.T) {
	t.Parallel()
	for fault, reason := range map[string]string{"crash": "GuestCrashed", "oom": "OOMKilled"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			e := framework.New(t)
			e.Create(framework.Minimal("machine"))
			vs := e.WaitStatus("machine", v1beta1.StatusRunning)
			first := vs.Status.VM.InstanceUID
			e.GuestFault(vs.Status.VM.Name, fault)
			e.Wait("machine", "remembers the failure", func(vs *v1beta1.VirtualServer) string {
				if vs.Status.LastFailure == nil || vs.Status.LastFailure.InstanceUID != first || vs.Status.LastFailure.Reason != reason {
					return "no failure " + reason
				}
				return ""
			})
			e.Wait("machine", "runs again in another instance", func(vs *v1beta1.VirtualServer) string {
				if vs.Status.PrintableStatus != v1beta1.StatusRunning || vs.Status.VM.InstanceUID == first {
					return "not running again"
				}
				return ""
			})
		})
	}
}

// Under RerunOnFailure a crash is what starts the machine again; under Manual nothing does, and the failure stands.
func TestCrashUnderTheOtherStrategies(t *testing.T) {
	t.Parallel()
	for strategy, want := range map[v1beta1.RunStrategy]v1beta1.PrintableStatus{
		v1beta1.RunStrategyRerunOnFailure: v1beta1.StatusRunning,
		v1beta1.RunStrategyManual:         v1beta1.StatusStopped,
	} {
		t.Run(string(strategy), func(t *testing.T) {
			t.Parallel()
			e := framework.New(t)
			first := createRunning(e, strategy).Status.VM
			e.GuestFault(first.Name, "crash")
			vs := e.Wait("machine", "ends up "+string(want)+" with its failure", func(vs *v1beta1.VirtualServer) string {
				failure := vs.Status.LastFailure
				if vs.Status.PrintableStatus != want || failure == nil || failure.InstanceUID != first.InstanceUID ||
					want == v1beta1.StatusRunning && vs.Status.VM.InstanceUID == first.InstanceUID {
					return "not there yet"
				}
				return ""
			})
			assert.Equal(t, strategy, vs.Status.RunStrategy)
			failed := findCondition(vs, v1beta1.ConditionFailure)
			require.NotNil(t, failed)
			if want == v1beta1.StatusRunning {
				assert.Equal(t, "Recovered", failed.Reason)
				return
			}
			assert.Equal(t, metav1.ConditionTrue, failed.Status)
			assert.Contains(t, vs.Status.Message, "use start", "the message says how it runs again")
			e.MustOperate("machine", "start")
			vs = e.WaitSettled("machine", v1beta1.StatusRunning)
			assert.Equal(t, metav1.ConditionFalse, findCondition(vs, v1beta1.ConditionFailure).Status)
		})
	}
}

func TestMachineThatNeverBootsIsInACrashLoop(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Faults(map[string]string{"boot": "fail"})
	e.Create(framework.Minimal("machine"))
	vs := e.Wait("machine", "is in a crash loop with a failure", func(vs *v1beta1.VirtualServer) string {
		failure := findCondition(vs, v1beta1.ConditionFailure)
		if vs.Status.PrintableStatus != v1beta1.StatusCrashLoopBackOff || failure == nil || failure.Status != metav1.ConditionTrue {
			return "not yet"
		}
		return ""
	})
	assert.NotEmpty(t, vs.Status.Message)
}

func TestShutdownFromInsideTheGuest(t *testing.T) {
	t.Parallel()
	for strategy, want := range map[v1beta1.RunStrategy]v1beta1.PrintableStatus{
		v1beta1.RunStrategyAlways:         v1beta1.StatusRunning,
		v1beta1.RunStrategyRerunOnFailure: v1beta1.StatusStopped,
		v1beta1.RunStrategyManual:         v1beta1.StatusStopped,
	} {
		t.Run(string(strategy), func(t *testing.T) {
			t.Parallel()
			e := framework.New(t)
			vs := createRunning(e, strategy)
			first := vs.Status.VM.InstanceUID
			e.GuestFault(vs.Status.VM.Name, "shutdown")
			vs = e.Wait("machine", "ends up "+string(want), func(vs *v1beta1.VirtualServer) string {
				if vs.Status.PrintableStatus != want || want == v1beta1.StatusRunning && vs.Status.VM.InstanceUID == first {
					return "not there yet"
				}
				return ""
			})
			assert.Equal(t, strategy, vs.Status.RunStrategy)
			if failure := findCondition(vs, v1beta1.ConditionFailure); failure != nil {
				assert.Equal(t, metav1.ConditionFalse, failure.Status, "a shutdown is no failure")
			}
		})
	}
}

func TestPausedMachine(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	e.WaitStatus("machine", v1beta1.StatusRunning)
	_, err := e.Operate("machine", "pause", "")
	require.NoError(t, err)
	vs := e.WaitStatus("machine", v1beta1.StatusPaused)
	assert.Equal(t, metav1.ConditionTrue, findCondition(vs, v1beta1.ConditionPaused).Status)
	_, err = e.Operate("machine", "unpause", "")
	require.NoError(t, err)
	e.WaitStatus("machine", v1beta1.StatusRunning)
}

func TestStopThatTakesLongShowsItsDeadline(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Faults(map[string]string{"stop": "hang"})
	e.Create(framework.Minimal("machine"))
	e.WaitStatus("machine", v1beta1.StatusRunning)
	e.MustOperate("machine", "stop")
	e.WaitStatus("machine", v1beta1.StatusStopping)
	vs := e.Wait("machine", "shows when it will be killed", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.StopDeadline == nil {
			return "no deadline"
		}
		return ""
	})
	assert.NotEmpty(t, vs.Status.Message)

	// A force stop works while the graceful one runs.
	_, err := e.Operate("machine", "stop", `{"force":true}`)
	require.NoError(t, err)
	vs = e.WaitStatus("machine", v1beta1.StatusStopped)
	if failure := findCondition(vs, v1beta1.ConditionFailure); failure != nil {
		assert.Equal(t, metav1.ConditionFalse, failure.Status, "a stop that needed force is no failure")
	}
}
