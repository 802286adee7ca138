package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// A machine that nobody has started is stopped, whatever becomes of its disk meanwhile.
func TestStoppedWhateverTheDiskDoes(t *testing.T) {
	disks := map[string]struct {
		set  func(s *scene)
		says string
	}{
		"no DataVolume":       {func(s *scene) { s.DataVolume = nil }, "DataVolume " + name + ": not created yet."},
		"no machine either":   {func(s *scene) { s.DataVolume, s.VirtualMachine = nil, nil }, "DataVolume " + name + ": not created yet."},
		"no phase":            {func(s *scene) { s.importing("", "N/A", 0) }, "waiting for its claim."},
		"scheduled":           {func(s *scene) { s.importing(cdiv1.ImportScheduled, "N/A", 0) }, "importing."},
		"cloning":             {func(s *scene) { s.importing(cdiv1.CloneInProgress, "7.00%", 0) }, "cloning, 7.00%."},
		"waits for an upload": {func(s *scene) { s.importing(cdiv1.UploadReady, "N/A", 0) }, "virtctl image-upload dv "},
		"waits for its start": {func(s *scene) { s.importing(cdiv1.PendingPopulation, "N/A", 0) }, "waiting for a node to be chosen."},
		"fails": {func(s *scene) {
			s.importing(cdiv1.ImportInProgress, "N/A", 3, running(corev1.ConditionFalse, "Error", "got 404"))
		}, "got 404"},
		"class missing": {func(s *scene) { s.DataVolume, s.StorageClassMissing = nil, "fast" }, `StorageClass "fast" not found.`},
		"held": {func(s *scene) {
			s.VirtualMachine = nil
			s.importing(cdiv1.ImportInProgress, "1.00%", 0)
		}, "importing, 1.00%."},
	}
	for what, disk := range disks {
		for _, strategy := range []v1beta1.RunStrategy{"Halted", "Manual"} {
			s := newScene(t, strategy)
			disk.set(s)
			got := s.derive()
			assert.Equal(t, v1beta1.StatusStopped, got.PrintableStatus, "%s under %s", what, strategy)
			assert.Contains(t, got.Message, "use start to run the machine.")
			assert.Contains(t, got.Message, disk.says)
			assert.Equal(t, s.DataVolume != nil, got.Import != nil, "the import stands in the status")

			s = newScene(t, strategy)
			disk.set(s)
			s.pending("Start", "")
			assert.Equal(t, v1beta1.StatusProvisioning, s.derive().PrintableStatus, "%s, started under %s", what, strategy)
		}
		for _, strategy := range []v1beta1.RunStrategy{"Always", "RerunOnFailure"} {
			s := newScene(t, strategy)
			disk.set(s)
			assert.Equal(t, v1beta1.StatusProvisioning, s.derive().PrintableStatus, "%s under %s", what, strategy)
		}
	}
}

// Nothing goes back within one run, whatever KubeVirt prints meanwhile.
func TestProgressOfOneRun(t *testing.T) {
	rank := map[v1beta1.PrintableStatus]int{"Stopped": 0, "Provisioning": 1, "Starting": 2, "FailedUnschedulable": 2, "Running": 3}
	steps := []func(s *scene){
		func(s *scene) { s.importing(cdiv1.Succeeded, "100.0%", 0) },
		func(s *scene) { s.instance(firstUID, kubevirtv1.VmPhaseUnset) },
		func(s *scene) { s.instance(firstUID, kubevirtv1.Pending) },
		func(s *scene) {
			s.instance(firstUID, kubevirtv1.Pending)
			s.vmiCondition("Synchronized", "False", "FailedPvcNotFound", "PVC is not there")
		},
		func(s *scene) { s.instance(firstUID, kubevirtv1.Scheduling) },
		func(s *scene) { s.instance(firstUID, kubevirtv1.Scheduled) },
		func(s *scene) { s.instance(firstUID, kubevirtv1.Running) },
	}
	for _, prints := range []kubevirtv1.VirtualMachinePrintableStatus{
		"Provisioning", "WaitingForVolumeBinding", "DataVolumeError", "ErrorPvcNotFound", "Starting", "Stopped", ""} {
		for _, first := range []int{0, 1, 2} {
			s := newScene(t, "Always")
			s.importing(cdiv1.ImportInProgress, "99.00%", 0)
			last := s.derive().PrintableStatus
			for at, step := range steps[first:] {
				// KubeVirt is late by some steps.
				s.VirtualMachine.Status.PrintableStatus = prints
				if at > 4 {
					s.VirtualMachine.Status.PrintableStatus = "Starting"
				}
				s.importing(cdiv1.Succeeded, "100.0%", 0)
				step(s)
				now := s.derive()
				require.GreaterOrEqual(t, rank[now.PrintableStatus], rank[last], "%s after %s, KubeVirt prints %q", now.PrintableStatus, last, prints)
				last = now.PrintableStatus
				for i := 1; i < len(now.PhaseTransitions); i++ {
					require.False(t, now.PhaseTransitions[i].Time.Before(&now.PhaseTransitions[i-1].Time), "in order")
				}
			}
			require.Equal(t, v1beta1.StatusRunning, last)
		}
	}
}

func TestPausedGuestThatIsToShutDown(t *testing.T) {
	type set func(s *scene)
	marked := func(s *scene) { s.Instance.DeletionTimestamp = ptr.To(at(60)) }
	paused := func(reason string) set { return func(s *scene) { s.vmiCondition("Paused", "True", reason, "") } }
	grace := func(seconds int64) set {
		return func(s *scene) { s.Instance.Spec.TerminationGracePeriodSeconds = &seconds }
	}
	for what, test := range map[string]struct {
		sets  []set
		wakes bool
		says  string
	}{
		"stopped":                  {[]set{paused("PausedByUser"), marked}, true, ""},
		"pod evicted":              {[]set{paused("PausedByUser"), func(s *scene) { s.podDeleted(60, 45) }}, true, ""},
		"stopped, time to spare":   {[]set{paused("PausedByUser"), marked, grace(3600)}, true, ""},
		"not to stop":              {[]set{paused("PausedByUser")}, false, ""},
		"not paused":               {[]set{marked}, false, "the guest is shutting down"},
		"killed anyway":            {[]set{paused("PausedByUser"), marked, grace(0)}, false, ""},
		"paused by an I/O error":   {[]set{paused("PausedIOError"), marked}, false, "paused (PausedIOError) and so cannot shut down, it is killed at"},
		"paused by a migration":    {[]set{paused("PausedByMigrationMonitor"), marked}, false, "cannot shut down"},
		"paused by who knows what": {[]set{paused(""), marked}, false, "cannot shut down"},
		"node lost":                {[]set{paused("PausedByUser"), marked, func(s *scene) { s.node("Unknown") }}, false, ""},
		"migrates": {[]set{paused("PausedByUser"), marked, func(s *scene) {
			s.Instance.Status.MigrationState = &kubevirtv1.VirtualMachineInstanceMigrationState{StartTimestamp: ptr.To(at(1))}
		}}, false, ""},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, "Always")
			s.instance(firstUID, kubevirtv1.Running)
			for _, set := range test.sets {
				set(s)
			}
			assert.Equal(t, test.wakes, SleepsThroughShutdown(s.Observed))
			assert.Contains(t, s.derive().Message, test.says)
		})
	}
}
