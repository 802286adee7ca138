package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func warning(kind string, uid types.UID, reason, message string, second int) corev1.Event {
	return corev1.Event{Type: corev1.EventTypeWarning, Reason: reason, Message: message, LastTimestamp: at(second),
		InvolvedObject: corev1.ObjectReference{Kind: kind, Name: name, UID: uid}}
}

func TestWhatEventsTellOfAnImport(t *testing.T) {
	for what, test := range map[string]struct {
		event  corev1.Event
		reason string
		says   string
	}{
		"source in use": {warning("DataVolume", "dv", "CloneSourceInUse", "pod default/virt-launcher-db-x using PersistentVolumeClaim db", 1),
			ReasonCloneSourceInUse, "The source is in use: pod default/virt-launcher-db-x using PersistentVolumeClaim db. Stop what uses it"},
		"smaller than the source": {warning("DataVolume", "dv", "CloneValidationFailed",
			"The clone doesn't meet the validation requirements: target resources requests storage size is smaller than the source 1073741824 < 5368709120", 1),
			ReasonCloneRefused, "smaller than the source 1073741824 (1Gi) < 5368709120 (5Gi)."},
		"another mode": {warning("PersistentVolumeClaim", "claim", "ErrIncompatiblePVC", "volume modes differ", 1), ReasonCloneRefused, "volume modes differ."},
		"no source":    {warning("DataVolume", "dv", "CloneWithoutSource", "The source pvc golden doesn't exist", 1), ReasonCloneSourceNotFound, "The source pvc golden doesn't exist."},
		"scratch space": {warning("PersistentVolumeClaim", "claim", "ErrExceededQuota",
			`persistentvolumeclaims "prime-x-scratch" is forbidden: exceeded quota: disk, requested: requests.storage=4Gi, used: requests.storage=4Gi, limited: requests.storage=6Gi`, 1),
			ReasonQuotaExceeded, "used: requests.storage=4Gi, limited: requests.storage=6Gi"},
		"certificates": {warning("Pod", "pod", "FailedMount", `MountVolume.SetUp failed for volume "cdi-cert-vol" : configmap "ca" not found`, 1),
			ReasonConfigMapNotFound, `configmap "ca" not found`},
		"credentials": {warning("Pod", "pod", "FailedMount", `MountVolume.SetUp failed for volume "x" : secret "s3" not found`, 1),
			ReasonSecretNotFound, `secret "s3" not found`},
		"key": {warning("Pod", "pod", "FailedMount", `references non-existent secret key: tls.crt`, 1), ReasonSecretNotFound, "tls.crt"},
		"no volume yet": {warning("PersistentVolumeClaim", "claim", "ProvisioningFailed", "storage pool full: 3Gi of 4Gi", 1),
			"", "storage pool full: 3Gi of 4Gi"},
		"mount that may succeed": {warning("Pod", "pod", "FailedMount", "timed out waiting for the condition", 1), "", "timed out waiting"},
		"LimitRange": {warning("PersistentVolumeClaim", "claim", "FailedCreate", "maximum cpu usage per Container is 100m, but limit is 750m", 1),
			ReasonLimitExceeded, "maximum cpu usage per Container is 100m, but limit is 750m"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, "Always")
			s.importing(cdiv1.CloneScheduled, "N/A", 0)
			s.DataVolume.UID = "dv"
			claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "claim"}}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "importer", UID: "pod"}}
			s.Obstacles = ObstaclesOf([]corev1.Event{test.event}, at(5).Time, s.DataVolume, claim, pod)
			got := condition(t, s.derive(), v1beta1.ConditionDataImported)
			if test.reason != "" {
				assert.Equal(t, test.reason, got.Reason)
			} else {
				assert.Equal(t, string(cdiv1.CloneScheduled), got.Reason)
			}
			assert.Contains(t, got.Message, test.says)

			assert.Empty(t, ObstaclesOf([]corev1.Event{test.event}, at(5000).Time, s.DataVolume, claim, pod), "it is long ago")
			other := test.event
			other.InvolvedObject.UID = "of the name before"
			assert.Empty(t, ObstaclesOf([]corev1.Event{other}, at(5).Time, s.DataVolume, claim, pod))
			normal := test.event
			normal.Type = corev1.EventTypeNormal
			assert.Empty(t, ObstaclesOf([]corev1.Event{normal}, at(5).Time, s.DataVolume, claim, pod))
		})
	}
}

// CDI hides what a quota or LimitRange says; the numbers come from these themselves.
func TestRefusedImporterNamesTheLimit(t *testing.T) {
	const hidden = "Error starting pod 'importer-prime-x': For more information, request access to cdi-deploy logs from your sysadmin"
	for what, test := range map[string]struct {
		reason     string
		shortfalls []string
		want       string
		says       string
	}{
		"quota":                {"ErrExceededQuota", []string{`ResourceQuota "q" allows 0 of pods, 0 are used, and the import needs 1`}, ReasonQuotaExceeded, `ResourceQuota "q" allows 0 of pods`},
		"two quotas":           {"ErrExceededQuota", []string{"one", "two"}, ReasonQuotaExceeded, "one; two"},
		"quota not found":      {"ErrExceededQuota", nil, ReasonQuotaExceeded, hidden},
		"LimitRange":           {"ErrStartingPod", []string{`LimitRange "r" allows a Container at most 100m of cpu, and the import needs 750m`}, ReasonLimitExceeded, "at most 100m of cpu"},
		"anything else":        {"ErrStartingPod", nil, ReasonPodRefused, hidden},
		"target and source":    {"ErrExceededQuota and ErrExceededQuota", []string{"one"}, ReasonQuotaExceeded, "one"},
		"shortfalls elsewhere": {"Error", []string{"one"}, ReasonImportError, notFound},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, "Always")
			message := hidden
			if test.reason == "Error" {
				message = notFound
			}
			s.importing(cdiv1.ImportScheduled, "N/A", 0, running("False", test.reason, message))
			s.Shortfalls = test.shortfalls
			got := condition(t, s.derive(), v1beta1.ConditionDataImported)
			assert.Equal(t, test.want, got.Reason)
			assert.Contains(t, got.Message, test.says)
		})
	}
}

func TestWhatAMachineWaitsFor(t *testing.T) {
	claim := Reference{Kind: KindClaim, Name: "data", Field: "spec.storage.additionalDisks[0].persistentVolumeClaim"}
	missing := func(reference Reference) func(s *scene) {
		return func(s *scene) { s.LookedUp, s.Absences = true, []Absence{{Reference: reference}} }
	}
	refused := func(message string) func(s *scene) {
		return func(s *scene) { s.vmiCondition("Synchronized", "False", "FailedCreate", message) }
	}
	for what, test := range map[string]struct {
		set    func(s *scene)
		want   v1beta1.PrintableStatus
		reason string
		says   string
	}{
		"claim": {missing(claim), "Provisioning", ReasonClaimNotFound,
			"PersistentVolumeClaim data does not exist, which spec.storage.additionalDisks[0].persistentVolumeClaim names. The machine waits for it."},
		"claim, KubeVirt blames the root disk": {func(s *scene) {
			missing(claim)(s)
			s.vmiCondition("Synchronized", "False", "FailedPvcNotFound", "PVC default/"+name+" does not exist")
		}, "Provisioning", ReasonClaimNotFound, "PersistentVolumeClaim data does not exist"},
		"claim, the scheduler blames nodes": {func(s *scene) {
			missing(claim)(s)
			s.LauncherPod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: "False",
				Reason: corev1.PodReasonUnschedulable, Message: `persistentvolumeclaim "data" not found`}}
		}, "Provisioning", ReasonClaimNotFound, "PersistentVolumeClaim data does not exist"},
		"cloud-init": {missing(Reference{Kind: KindSecret, Name: "user", Field: "spec.cloudInitSecretRef"}), "Starting", "SecretNotFound",
			"Secret user does not exist, which spec.cloudInitSecretRef names."},
		"cloud-init without the key": {func(s *scene) {
			s.LookedUp = true
			s.Absences = []Absence{{Reference: Reference{Kind: KindSecret, Name: "user", Field: "spec.cloudInitSecretRef", Key: "userdata"}, NoKey: true}}
		}, "Starting", "SecretNotFound", `Secret user has no key "userdata", which spec.cloudInitSecretRef needs.`},
		"ConfigMap":      {missing(Reference{Kind: KindConfigMap, Name: "c", Field: "f"}), "Starting", "ConfigMapNotFound", "ConfigMap c does not exist"},
		"ServiceAccount": {missing(Reference{Kind: KindServiceAccount, Name: "sa", Field: "f"}), "Starting", "ServiceAccountNotFound", "ServiceAccount sa does not exist"},
		"KubeVirt is late": {func(s *scene) {
			s.LookedUp, s.Claim = true, &corev1.PersistentVolumeClaim{}
			s.vmiCondition("Synchronized", "False", "FailedPvcNotFound", "PVC default/data does not exist")
		}, "Starting", ReasonVMIConditionMissing, "waiting to be ready"},
		"GPU": {refused("failed to render launch manifest: GPU nvidia.com/H100 is not permitted in permittedHostDevices configuration"),
			"Starting", ReasonHostDeviceNotPermitted, "nvidia.com/H100 is not permitted"},
		"quota": {refused(`failed to create virtual machine pod: pods "virt-launcher-x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2`),
			"Starting", ReasonQuotaExceeded, "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"},
		"LimitRange": {refused(`failed to create virtual machine pod: pods "virt-launcher-x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi`),
			"Starting", ReasonLimitExceeded, "maximum memory usage per Container is 1Gi, but limit is 2Gi"},
		"pod security": {refused(`pods "virt-launcher-x" is forbidden: violates PodSecurity "restricted:latest": seccompProfile`), "Starting", ReasonPodRefused, "violates PodSecurity"},
		"a webhook":    {refused(`admission webhook "x" denied the request: no`), "Starting", ReasonPodRefused, "denied the request"},
		"may yet go":   {refused("connection refused"), "Starting", ReasonVMIConditionMissing, "connection refused"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, "Always")
			s.instance(firstUID, kubevirtv1.Scheduling)
			test.set(s)
			got := s.derive()
			assert.Equal(t, test.want, got.PrintableStatus)
			assert.Contains(t, got.Message, test.says)
			ready := condition(t, got, v1beta1.ConditionReady)
			assert.Equal(t, metav1.ConditionFalse, ready.Status)
			assert.Equal(t, test.reason, ready.Reason)
			s.instance(firstUID, kubevirtv1.Running)
			s.vmiCondition("Ready", "True", "", "")
			assert.Equal(t, ReasonRunning, condition(t, s.derive(), v1beta1.ConditionReady).Reason, "it is over")
		})
	}
}

func TestWhatANodeCannotStart(t *testing.T) {
	for what, test := range map[string]struct {
		phase   kubevirtv1.VirtualMachineInstancePhase
		status  string
		message string
		reason  string
		says    string
	}{
		"memory that cannot be locked": {kubevirtv1.Scheduled, "False", "failed to adjust resources: error setting prlimit", ReasonSyncFailed,
			"node node-a cannot start the guest, and tries again: failed to adjust resources: error setting prlimit"},
		"no such device": {kubevirtv1.Scheduled, "False", "server error. command SyncVMI failed: \"LibvirtError(Code=1, Domain=0, Message='Device 0000:fd:1e.0 not found')\"",
			ReasonSyncFailed, "Device 0000:fd:1e.0 not found"},
		"lines":              {kubevirtv1.Scheduled, "False", "one\ntwo", ReasonSyncFailed, "tries again: one two"},
		"it has succeeded":   {kubevirtv1.Scheduled, "True", "", kubevirtv1.GuestNotRunningReason, "waiting for node node-a to start the guest"},
		"nobody knows":       {kubevirtv1.Scheduled, "Unknown", "x", kubevirtv1.GuestNotRunningReason, "waiting for node node-a to start the guest"},
		"no node has it yet": {kubevirtv1.Scheduling, "False", "no pod yet", kubevirtv1.GuestNotRunningReason, "no pod yet"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, "Always")
			s.instance(firstUID, test.phase).Status.NodeName = "node-a"
			s.vmiCondition("Ready", "False", kubevirtv1.GuestNotRunningReason, "Guest VM is not reported as running")
			s.vmiCondition("Synchronized", corev1.ConditionStatus(test.status), "Synchronizing with the Domain failed.", test.message)
			got := s.derive()
			assert.Equal(t, v1beta1.StatusStarting, got.PrintableStatus)
			assert.Contains(t, got.Message, test.says)
			assert.Equal(t, test.reason, condition(t, got, v1beta1.ConditionReady).Reason)
		})
	}
}

func TestReferences(t *testing.T) {
	yes := true
	spec := v1beta1.VirtualServerSpec{CloudInitSecretRef: &corev1.LocalObjectReference{Name: "user"}}
	spec.SSHKeys = &v1beta1.SSHKeys{SecretRef: corev1.LocalObjectReference{Name: "keys"}}
	claim := &v1beta1.PersistentVolumeClaimSource{ClaimName: "a"}
	spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{
		{VolumeSource: v1beta1.VolumeSource{PersistentVolumeClaim: claim}},
		{VolumeSource: v1beta1.VolumeSource{Ephemeral: &v1beta1.EphemeralSource{PersistentVolumeClaim: claim}}},
		{VolumeSource: v1beta1.VolumeSource{ConfigMap: &v1beta1.ConfigMapSource{Name: "b", Optional: &yes}}},
		{VolumeSource: v1beta1.VolumeSource{DownwardAPI: &v1beta1.DownwardAPISource{}}},
	}
	spec.Storage.Filesystems = []v1beta1.Filesystem{
		{VolumeSource: v1beta1.VolumeSource{ConfigMap: &v1beta1.ConfigMapSource{Name: "c"}}},
		{VolumeSource: v1beta1.VolumeSource{Secret: &v1beta1.SecretSource{SecretName: "d"}}},
		{VolumeSource: v1beta1.VolumeSource{ServiceAccount: &v1beta1.ServiceAccountSource{ServiceAccountName: "e"}}},
	}
	assert.Equal(t, []Reference{
		{Kind: KindSecret, Name: "user", Field: "spec.cloudInitSecretRef", Key: "userdata"},
		{Kind: KindSecret, Name: "keys", Field: "spec.sshKeys.secretRef"},
		{Kind: KindClaim, Name: "a", Field: "spec.storage.additionalDisks[0].persistentVolumeClaim"},
		{Kind: KindClaim, Name: "a", Field: "spec.storage.additionalDisks[1].ephemeral.persistentVolumeClaim"},
		{Kind: KindConfigMap, Name: "c", Field: "spec.storage.filesystems[0].configMap"},
		{Kind: KindSecret, Name: "d", Field: "spec.storage.filesystems[1].secret"},
		{Kind: KindServiceAccount, Name: "e", Field: "spec.storage.filesystems[2].serviceAccount"},
	}, References(&spec))
	reference := References(&spec)[0]
	assert.True(t, reference.HasKey(map[string][]byte{"userdata": nil}))
	assert.True(t, reference.HasKey(map[string][]byte{"userData": nil}))
	assert.False(t, reference.HasKey(map[string][]byte{"user-data": nil}))
}
