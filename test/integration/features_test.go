package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// example reads a VirtualServer from the examples.
func example(e *framework.Environment, file string) *v1beta1.VirtualServer {
	e.T.Helper()
	vs := &v1beta1.VirtualServer{}
	require.NoError(e.T, yaml.UnmarshalStrict(e.ReadFile("artifacts", "examples", file), vs))
	return vs
}

// surroundings makes what the examples name.
func surroundings(e *framework.Environment) {
	e.T.Helper()
	e.MustKubectl("apply", "-f", "artifacts/examples/prerequisites.yaml")
	for name, key := range map[string]string{"app-credentials": "password", "user-data": "userdata"} {
		_, err := e.Kube.CoreV1().Secrets(e.Namespace).Create(e.Context, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{key: "#cloud-config\nhostname: machine\n"},
		}, metav1.CreateOptions{})
		require.NoError(e.T, err)
	}
}

// A machine with one of everything, as KubeVirt's own controller has made it of ours.
func TestAMachineWithOneOfEverything(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	surroundings(e)
	vs := example(e, "vs-volumes.yaml")
	vs.Spec.CloudInitSecretRef = &corev1.LocalObjectReference{Name: "user-data"}
	vs.Spec.Resources.CPU.Model = "Conroe"
	vs.Spec.Resources.GPU = &v1beta1.GPU{Type: "nvidia.com/GA100_A100_PCIE_40GB", Count: 2}
	e.Create(vs)
	vs = e.WaitSettled(vs.Name, v1beta1.StatusRunning)
	machine := vs.Status.VM.Name
	instance := e.Instance(machine)
	require.NotNil(t, instance)

	t.Run("disks", func(t *testing.T) { assertDisks(t, instance) })
	t.Run("volumes", func(t *testing.T) { assertVolumes(t, instance, machine) })
	t.Run("status", func(t *testing.T) {
		require.Len(t, vs.Status.Disks, 9)
		assert.Equal(t, v1beta1.DiskStatus{Name: "root", Device: "/dev/vda", Serial: "root", ByID: "/dev/disk/by-id/virtio-root"}, vs.Status.Disks[0])
		assert.Equal(t, v1beta1.DiskStatus{Name: "claim", Device: "/dev/vdb", Serial: "DATA-1", ByID: "/dev/disk/by-id/virtio-DATA-1"}, vs.Status.Disks[1])
		assert.Equal(t, "/dev/vdi", vs.Status.Disks[8].Device)
	})
	t.Run("network", func(t *testing.T) { assertNetwork(t, e, instance) })
	t.Run("resources", func(t *testing.T) {
		domain := instance.Spec.Domain
		assert.EqualValues(t, 2, domain.CPU.Cores)
		assert.EqualValues(t, 1, domain.CPU.Sockets)
		assert.Equal(t, "Conroe", domain.CPU.Model)
		assert.Equal(t, "4Gi", domain.Memory.Guest.String())
		require.Len(t, domain.Devices.GPUs, 2)
		for _, gpu := range domain.Devices.GPUs {
			assert.Equal(t, "nvidia.com/GA100_A100_PCIE_40GB", gpu.DeviceName)
		}
	})
	t.Run("pod", func(t *testing.T) {
		pods, err := e.Kube.CoreV1().Pods(e.Namespace).List(e.Context, metav1.ListOptions{LabelSelector: "kubevirt.io=virt-launcher"})
		require.NoError(t, err)
		require.Len(t, pods.Items, 1)
		pod := pods.Items[0].Spec
		assert.Equal(t, corev1.DNSNone, pod.DNSPolicy)
		assert.Equal(t, "app-secret", pod.ServiceAccountName, "the machine's pod runs as the ServiceAccount whose token it shows")
		container := pod.Containers[slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == "compute" })]
		gpus := container.Resources.Limits["nvidia.com/GA100_A100_PCIE_40GB"]
		assert.EqualValues(t, 2, gpus.Value())
		for _, mount := range container.VolumeMounts {
			assert.NotContains(t, mount.Name, "user-data")
		}
	})
	_, err := e.Kube.CoreV1().Secrets(e.Namespace).Get(e.Context, machine, metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "user data that is in a Secret already is not copied: %v", err)
}

func assertDisks(t *testing.T, instance *kubevirtv1.VirtualMachineInstance) {
	var names []string
	for _, disk := range instance.Spec.Domain.Devices.Disks {
		names = append(names, disk.Name)
		require.NotNil(t, disk.Disk, disk.Name)
		assert.Equal(t, kubevirtv1.DiskBusVirtio, disk.Disk.Bus, disk.Name)
		if disk.Name != "cloudinit" {
			assert.NotEmpty(t, disk.Serial, disk.Name)
		}
	}
	assert.Equal(t, []string{
		"root", "claim", "scratch-over-claim", "config", "credentials", "identity", "about", "scratch", "tools", "cloudinit",
	}, names, "root first, then in the order of the spec, cloud-init last")
	assert.Equal(t, "DATA-1", instance.Spec.Domain.Devices.Disks[1].Serial)
	assert.Equal(t, ptr.To(uint(1)), instance.Spec.Domain.Devices.Disks[0].BootOrder)
	require.Len(t, instance.Spec.Domain.Devices.Filesystems, 1)
	assert.Equal(t, "config-fs", instance.Spec.Domain.Devices.Filesystems[0].Name)
	assert.NotNil(t, instance.Spec.Domain.Devices.Filesystems[0].Virtiofs)
}

func assertVolumes(t *testing.T, instance *kubevirtv1.VirtualMachineInstance, machine string) {
	volumes := map[string]kubevirtv1.VolumeSource{}
	for _, volume := range instance.Spec.Volumes {
		volumes[volume.Name] = volume.VolumeSource
	}
	require.Len(t, volumes, 11)
	require.NotNil(t, volumes["root"].Ephemeral, "an ephemeral root is an overlay")
	assert.Equal(t, machine, volumes["root"].Ephemeral.PersistentVolumeClaim.ClaimName)
	require.NotNil(t, volumes["claim"].PersistentVolumeClaim)
	assert.Equal(t, "pvc-as-second-disk", volumes["claim"].PersistentVolumeClaim.ClaimName)
	require.NotNil(t, volumes["scratch-over-claim"].Ephemeral)
	assert.Equal(t, "pvc-name", volumes["scratch-over-claim"].Ephemeral.PersistentVolumeClaim.ClaimName)
	require.NotNil(t, volumes["config"].ConfigMap)
	assert.Equal(t, "app-config", volumes["config"].ConfigMap.Name)
	assert.Equal(t, "CONFIG", volumes["config"].ConfigMap.VolumeLabel)
	require.NotNil(t, volumes["credentials"].Secret)
	assert.Equal(t, "app-credentials", volumes["credentials"].Secret.SecretName)
	require.NotNil(t, volumes["identity"].ServiceAccount)
	assert.Equal(t, "app-secret", volumes["identity"].ServiceAccount.ServiceAccountName)
	require.NotNil(t, volumes["about"].DownwardAPI)
	assert.Equal(t, "metadata.labels", volumes["about"].DownwardAPI.Fields[0].FieldRef.FieldPath)
	require.NotNil(t, volumes["scratch"].EmptyDisk)
	assert.Equal(t, "10Gi", volumes["scratch"].EmptyDisk.Capacity.String())
	require.NotNil(t, volumes["tools"].ContainerDisk)
	assert.Equal(t, "registry.example.com/images/fedora:40", volumes["tools"].ContainerDisk.Image)
	require.NotNil(t, volumes["config-fs"].ConfigMap)
	cloudInit := volumes["cloudinit"].CloudInitNoCloud
	require.NotNil(t, cloudInit)
	assert.Equal(t, "user-data", cloudInit.UserDataSecretRef.Name)
	assert.Empty(t, cloudInit.UserData)
}

func assertNetwork(t *testing.T, e *framework.Environment, instance *kubevirtv1.VirtualMachineInstance) {
	require.Len(t, instance.Spec.Domain.Devices.Interfaces, 1)
	nic := instance.Spec.Domain.Devices.Interfaces[0]
	assert.Equal(t, "02:00:00:4c:1f:07", nic.MacAddress)
	assert.NotNil(t, nic.Masquerade)
	assert.Equal(t, corev1.DNSNone, instance.Spec.DNSPolicy)
	require.NotNil(t, instance.Spec.DNSConfig)
	assert.Equal(t, []string{"192.0.2.53"}, instance.Spec.DNSConfig.Nameservers)
	assert.Equal(t, []string{"example.com"}, instance.Spec.DNSConfig.Searches)
	assert.Equal(t, []corev1.PodDNSConfigOption{{Name: "ndots", Value: ptr.To("2")}}, instance.Spec.DNSConfig.Options)

	service, err := e.Kube.CoreV1().Services(e.Namespace).Get(e.Context, instance.Name, metav1.GetOptions{})
	require.NoError(t, err)
	var ports []string
	for _, port := range service.Spec.Ports {
		assert.Equal(t, port.Port, port.TargetPort.IntVal)
		ports = append(ports, string(port.Protocol)+" "+port.TargetPort.String())
	}
	assert.Equal(t, []string{"TCP 22", "TCP 53", "UDP 53"}, ports, "TCP and UDP may share a number")
	for key, value := range service.Spec.Selector {
		assert.Equal(t, value, instance.Labels[key], "the Service selects the machine's pod")
	}
}

// Ports are the Service's, so that a change of them needs no restart and does not touch the machine.
func TestPortsChangeAtOnce(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine", func(vs *v1beta1.VirtualServer) { vs.Spec.Network.TCP = []int32{22} }))
	before := e.WaitSettled("machine", v1beta1.StatusRunning).Status.VM
	e.MustKubectl("patch", "virtualserver", "machine", "--type=merge", "-p", `{"spec":{"network":{"tcp":[443],"udp":[443]}}}`)
	e.Eventually("the Service has the new ports", func() error {
		service, err := e.Kube.CoreV1().Services(e.Namespace).Get(e.Context, before.Name, metav1.GetOptions{})
		if err == nil && (len(service.Spec.Ports) != 2 || service.Spec.Ports[0].Port != 443 || service.Spec.Ports[1].Protocol != corev1.ProtocolUDP) {
			return fmt.Errorf("ports are %v", service.Spec.Ports)
		}
		return err
	})
	vs := e.WaitCondition("machine", v1beta1.ConditionRestartRequired, metav1.ConditionFalse)
	assert.Equal(t, before.InstanceUID, vs.Status.VM.InstanceUID)
	e.MustKubectl("patch", "virtualserver", "machine", "--type=merge", "-p", `{"spec":{"network":{"tcp":[],"udp":null}}}`)
	e.Eventually("without ports there is no Service", func() error {
		_, err := e.Kube.CoreV1().Services(e.Namespace).Get(e.Context, before.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			return errMissing("the end of the Service")
		}
		return err
	})
}

// Every kind of volume that can be shared with the guest, and more user data than KubeVirt takes inline.
func TestEveryFilesystemAndLongCloudInit(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	surroundings(e)
	userData := "#cloud-config\nruncmd:\n" + strings.Repeat("- echo a line of a long script\n", 2500)
	require.Greater(t, len(userData), 64<<10)
	e.Create(framework.Minimal("machine", func(vs *v1beta1.VirtualServer) {
		vs.Spec.CloudInit = userData
		vs.Spec.Storage.Filesystems = []v1beta1.Filesystem{
			{Name: "claim", VolumeSource: v1beta1.VolumeSource{PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: "pvc-as-fs"}}},
			{Name: "config", VolumeSource: v1beta1.VolumeSource{ConfigMap: &v1beta1.ConfigMapSource{Name: "app-config"}}},
			{Name: "credentials", VolumeSource: v1beta1.VolumeSource{Secret: &v1beta1.SecretSource{SecretName: "app-credentials"}}},
			{Name: "identity", VolumeSource: v1beta1.VolumeSource{ServiceAccount: &v1beta1.ServiceAccountSource{ServiceAccountName: "app-secret"}}},
			{Name: "about", VolumeSource: v1beta1.VolumeSource{DownwardAPI: &v1beta1.DownwardAPISource{Fields: []corev1.DownwardAPIVolumeFile{
				{Path: "name", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}}},
		}
	}))
	machine := e.WaitSettled("machine", v1beta1.StatusRunning).Status.VM.Name
	instance := e.Instance(machine)
	require.NotNil(t, instance)
	var names []string
	for _, filesystem := range instance.Spec.Domain.Devices.Filesystems {
		assert.NotNil(t, filesystem.Virtiofs, filesystem.Name)
		names = append(names, filesystem.Name)
	}
	assert.Equal(t, []string{"claim", "config", "credentials", "identity", "about"}, names)

	secret, err := e.Kube.CoreV1().Secrets(e.Namespace).Get(e.Context, machine, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, userData, string(secret.Data["userdata"]))
	for _, volume := range instance.Spec.Volumes {
		if volume.CloudInitNoCloud != nil {
			assert.Empty(t, volume.CloudInitNoCloud.UserData)
			assert.Equal(t, machine, volume.CloudInitNoCloud.UserDataSecretRef.Name)
		}
	}
}
