package translate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestCloudInitSecret(t *testing.T) {
	secret := CloudInitSecret(guideExample(t, func(vs *v1beta1.VirtualServer) {
		vs.Spec.CloudInit = strings.Repeat("#", 100_000)
	}))
	require.NotNil(t, secret)
	assert.Equal(t, testVM, secret.Name)
	assert.Len(t, secret.Data["userdata"], 100_000)

	assert.Nil(t, CloudInitSecret(guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.CloudInit = "" })))

	byRef := guideExample(t, func(vs *v1beta1.VirtualServer) {
		vs.Spec.CloudInit = ""
		vs.Spec.CloudInitSecretRef = &corev1.LocalObjectReference{Name: "mine"}
	})
	assert.Nil(t, CloudInitSecret(byRef))
	volumes := machine(t, byRef).Spec.Template.Spec.Volumes
	assert.Equal(t, "mine", volumes[len(volumes)-1].CloudInitNoCloud.UserDataSecretRef.Name)
}

func TestNoCloudInitNoDisk(t *testing.T) {
	vm := machine(t, guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.CloudInit = "" }))
	for _, volume := range vm.Spec.Template.Spec.Volumes {
		assert.Nil(t, volume.CloudInitNoCloud)
	}
}

func TestMergeSecret(t *testing.T) {
	desired := CloudInitSecret(guideExample(t))
	live := desired.DeepCopy()
	live.ResourceVersion = "7"
	live.Labels["team"] = "blue"
	live.Data["networkdata"] = []byte("kept")
	_, changed := MergeSecret(live, desired)
	assert.False(t, changed)

	live.Data[UserDataKey] = []byte("edited by hand")
	merged, changed := MergeSecret(live, desired)
	assert.True(t, changed)
	assert.Equal(t, desired.Data[UserDataKey], merged.Data[UserDataKey])
	assert.Equal(t, "kept", string(merged.Data["networkdata"]))
	assert.Equal(t, "blue", merged.Labels["team"])
	assert.Equal(t, "7", merged.ResourceVersion)
	_, changed = MergeSecret(merged, desired)
	assert.False(t, changed)
}

func TestService(t *testing.T) {
	service := Service(guideExample(t, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Network.TCP = []int32{80, 53}
		vs.Spec.Network.UDP = []int32{53}
	}))
	require.NotNil(t, service)
	assert.Equal(t, testVM, service.Name)
	assert.Equal(t, map[string]string{LabelMachine: testVM}, service.Spec.Selector)
	require.Len(t, service.Spec.Ports, 3)
	names := map[string]bool{}
	for _, port := range service.Spec.Ports {
		assert.Equal(t, port.Port, port.TargetPort.IntVal)
		names[port.Name] = true
	}
	assert.Equal(t, map[string]bool{"tcp-53": true, "tcp-80": true, "udp-53": true}, names)

	assert.Nil(t, Service(guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.Network.TCP = nil })))
}

func TestMergeService(t *testing.T) {
	desired := Service(guideExample(t))
	live := desired.DeepCopy()
	live.Spec.ClusterIP = "10.0.0.7"
	live.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicySingleStack)
	live.Spec.Type = corev1.ServiceTypeNodePort
	live.Spec.Ports[0].NodePort = 30080
	live.Spec.Ports[0].AppProtocol = ptr.To("http")
	live.Annotations["team"] = "blue"
	_, changed := MergeService(live, desired)
	assert.False(t, changed, "what Kubernetes and others set stays")

	more := Service(guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.Network.TCP = []int32{443, 80} }))
	live.Spec.Selector["broken"] = "by hand"
	merged, changed := MergeService(live, more)
	require.True(t, changed)
	assert.Equal(t, map[string]string{LabelMachine: testVM}, merged.Spec.Selector)
	require.Len(t, merged.Spec.Ports, 2)
	assert.Equal(t, "tcp-80", merged.Spec.Ports[0].Name)
	assert.Equal(t, int32(30080), merged.Spec.Ports[0].NodePort)
	assert.Equal(t, "tcp-443", merged.Spec.Ports[1].Name)
	assert.Equal(t, "10.0.0.7", merged.Spec.ClusterIP)
	_, changed = MergeService(merged, more)
	assert.False(t, changed)
}

func TestMergeDataVolume(t *testing.T) {
	desired := DataVolume(guideExample(t))
	live := desired.DeepCopy()
	live.Labels["team"] = "blue"
	_, changed := MergeDataVolume(live, desired)
	assert.False(t, changed)
	adopted := DataVolume(guideExample(t, func(vs *v1beta1.VirtualServer) { vs.UID = "new" }))
	merged, changed := MergeDataVolume(live, adopted)
	assert.True(t, changed)
	assert.Equal(t, "new", merged.Labels[LabelUID])
	assert.Equal(t, "blue", merged.Labels["team"])
	assert.Equal(t, live.Spec, merged.Spec)
}
