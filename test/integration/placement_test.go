package integration

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// Of a scheduler that the cluster does not have nobody tells, so it is told after a while, and soon.
func TestMachineOfASchedulerThatIsNotThere(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("queued", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Scheduler = &v1beta1.Scheduler{T9kScheduler: &v1beta1.T9kScheduler{Queue: "team-a"}}
	}))
	e.WaitStatus("queued", v1beta1.StatusStarting)
	vs := e.WaitFor(30*time.Second, "queued", "says that there is no such scheduler", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusFailedUnschedulable {
			return "not FailedUnschedulable"
		}
		return ""
	})
	assert.Contains(t, vs.Status.Message, "no scheduler of that name")
	assert.Contains(t, vs.Status.Message, "t9k-scheduler")
	queue := e.MustKubectl("get", "pods", "-l", "tensorstack.dev/virtualserver=queued",
		"-o", `jsonpath={.items[0].spec.schedulerName} {.items[0].metadata.labels.scheduler\.tensorstack\.dev/queue}`)
	assert.Equal(t, "t9k-scheduler team-a", queue)
	// Without it the cluster's own scheduler takes the machine, once it is started anew.
	e.MustKubectl("patch", "virtualserver", "queued", "--type=json", "-p", `[{"op":"remove","path":"/spec/scheduler"}]`)
	e.Wait("queued", "waits for a restart", func(vs *v1beta1.VirtualServer) string {
		for _, condition := range vs.Status.Conditions {
			if condition.Type == v1beta1.ConditionRestartRequired && condition.Status == metav1.ConditionTrue {
				return ""
			}
		}
		return "no RestartRequired"
	})
	e.MustOperate("queued", "restart")
	e.WaitStatus("queued", v1beta1.StatusRunning)
}

// What KubeVirt itself makes of a machine with every field of the placement and the firmware.
func TestAMachineWithPlacementAndFirmware(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	priority := e.Namespace + "-high"
	e.MustKubectl("create", "priorityclass", priority, "--value=1000")
	t.Cleanup(func() { e.Kubectl("delete", "priorityclass", priority, "--wait=false") })
	e.Create(framework.Minimal("placed", func(vs *v1beta1.VirtualServer) {
		vs.Spec.PriorityClassName = priority
		vs.Spec.NodeSelector = map[string]string{"kubernetes.io/os": "linux"}
		vs.Spec.Tolerations = []corev1.Toleration{{Key: "machines", Operator: corev1.TolerationOpExists}}
		vs.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"tensorstack.dev/virtualserver": "placed"}}}}}}
		vs.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}}
		vs.Spec.Firmware = &v1beta1.Firmware{Serial: "SN-1", Bootloader: &v1beta1.Bootloader{EFI: &v1beta1.EFI{}}}
		vs.Spec.Storage.Root.Bus = v1beta1.DiskBusSATA
		vs.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{{Name: "data", Bus: v1beta1.DiskBusSCSI, EmptyDisk: &v1beta1.EmptyDiskSource{Capacity: resource.MustParse("1Gi")}}}
		vs.Spec.Network.MACAddress = "DE-AD-00-00-BE-AF"
		vs.Spec.Network.Ports = []v1beta1.Port{{Name: "http", Port: 80}}
	}))
	vs := e.WaitStatus("placed", v1beta1.StatusRunning)
	instance := e.Instance(vs.Status.VM.Name)
	assert.Equal(t, "placed", instance.Spec.Hostname)
	assert.Equal(t, "SN-1", instance.Spec.Domain.Firmware.Serial)
	assert.NotNil(t, instance.Spec.Domain.Firmware.Bootloader.EFI)
	assert.True(t, *instance.Spec.Domain.Features.SMM.Enabled)
	assert.Equal(t, "de:ad:00:00:be:af", instance.Spec.Domain.Devices.Interfaces[0].MacAddress)
	assert.Equal(t, "/dev/disk/by-id/ata-QEMU_HARDDISK_root", vs.Status.Disks[0].ByID)
	assert.Equal(t, "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_data", vs.Status.Disks[1].ByID)

	var pods corev1.PodList
	require.NoError(t, json.Unmarshal([]byte(e.MustKubectl("get", "pods", "-l", "tensorstack.dev/virtualserver=placed", "-o", "json")), &pods))
	require.Len(t, pods.Items, 1)
	pod := pods.Items[0].Spec
	assert.Equal(t, priority, pod.PriorityClassName)
	assert.EqualValues(t, 1000, *pod.Priority)
	assert.Equal(t, "linux", pod.NodeSelector["kubernetes.io/os"])
	assert.Contains(t, pod.Tolerations, vs.Spec.Tolerations[0])
	assert.Equal(t, vs.Spec.Affinity.PodAntiAffinity, pod.Affinity.PodAntiAffinity)
	assert.Equal(t, vs.Spec.TopologySpreadConstraints, pod.TopologySpreadConstraints)

	// The addresses of the Service follow what becomes of it.
	service := vs.Status.VM.Name
	require.NotNil(t, vs.Status.Service)
	assert.Equal(t, service+"."+e.Namespace+".svc", vs.Status.Service.DNSName)
	e.MustKubectl("patch", "service", service, "--type=merge", "-p", `{"spec":{"type":"LoadBalancer"}}`)
	e.MustKubectl("patch", "service", service, "--subresource=status", "--type=merge", "-p", `{"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.7"}]}}}`)
	e.Wait("placed", "shows the load balancer", func(vs *v1beta1.VirtualServer) string {
		found := vs.Status.Service
		if found == nil || len(found.LoadBalancerAddresses) != 1 || found.LoadBalancerAddresses[0] != "203.0.113.7" || len(found.NodePorts) != 1 || found.NodePorts[0].Port != 80 {
			return "not yet"
		}
		return ""
	})
	shown := e.Run("", "kubectl", "vs", "-n", e.Namespace, "status", "placed")
	require.NoError(t, shown.Err, shown.Stderr)
	assert.Contains(t, shown.Stdout, "203.0.113.7")
	assert.Contains(t, shown.Stdout, vs.Status.Service.DNSName)
}

// A root disk that was not made for the machine is neither made nor deleted.
func TestRootDisksThatExist(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	result := e.KubectlInput(`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"boot"},"spec":{"accessModes":["ReadWriteMany"],
		"resources":{"requests":{"storage":"1Gi"}}}}`, "apply", "-f", "-")
	require.NoError(t, result.Err, result.Stderr)
	e.Create(framework.Minimal("in-a-claim", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root = v1beta1.RootDisk{PersistentVolumeClaim: &v1beta1.RootDiskVolume{ClaimName: "boot"}}
	}))
	e.Create(framework.Minimal("in-an-image", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root = v1beta1.RootDisk{ContainerDisk: &v1beta1.ContainerDiskSource{Image: "registry.example.com/fedora:43"}}
	}))
	for _, name := range []string{"in-a-claim", "in-an-image"} {
		e.WaitStatus(name, v1beta1.StatusRunning)
		e.WaitCondition(name, v1beta1.ConditionDataImported, metav1.ConditionTrue)
	}
	assert.Empty(t, e.MustKubectl("get", "datavolumes", "-o", "name"))
	e.MustKubectl("delete", "virtualserver", "in-a-claim", "in-an-image", "--timeout=120s")
	assert.Contains(t, e.MustKubectl("get", "pvc", "-o", "name"), "persistentvolumeclaim/boot")
}
