package preflight

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/warning"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

const namespace = "team-a"

// cluster is a cluster that can run the valid machine without a warning.
type cluster struct {
	objects  []runtime.Object
	kubeVirt []runtime.Object
	kubeErr  error
}

func goodCluster() *cluster {
	return &cluster{
		objects: []runtime.Object{
			&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast", Annotations: map[string]string{
				"storageclass.kubernetes.io/is-default-class": "true"}}, AllowVolumeExpansion: ptr.To(true)},
			&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fixed"}},
			withCores(node("node-a", "true", corev1.ResourceList{"cpu": resource.MustParse("15900m"), "memory": resource.MustParse("32Gi"), "nvidia.com/gpu": resource.MustParse("2")}), "16"),
			withCores(node("node-b", "false", corev1.ResourceList{"memory": resource.MustParse("512Gi"), "amd.com/gpu": resource.MustParse("8")}), "128"),
			claim("data", corev1.PersistentVolumeFilesystem), claim("raw", corev1.PersistentVolumeBlock),
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "app-config"}},
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "app"}},
		},
		kubeVirt: []runtime.Object{kubeVirt("v1.9.0", storageFilesystemsGate)},
	}
}

func node(name, schedulable string, allocatable corev1.ResourceList) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{schedulableLabel: schedulable, cpuModelLabel + "Conroe": "true"}},
		Status:     corev1.NodeStatus{Allocatable: allocatable},
	}
}

func withCores(node *corev1.Node, cores string) *corev1.Node {
	node.Status.Capacity = corev1.ResourceList{"cpu": resource.MustParse(cores)}
	return node
}

func claim(name string, mode corev1.PersistentVolumeMode) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{VolumeMode: &mode}}
}

func kubeVirt(version string, gates ...string) *kubevirtv1.KubeVirt {
	return &kubevirtv1.KubeVirt{
		TypeMeta:   metav1.TypeMeta{APIVersion: "kubevirt.io/v1", Kind: "KubeVirt"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "kubevirt", Name: "kubevirt"},
		Spec: kubevirtv1.KubeVirtSpec{Configuration: kubevirtv1.KubeVirtConfiguration{
			DeveloperConfiguration: &kubevirtv1.DeveloperConfiguration{FeatureGates: gates}}},
		Status: kubevirtv1.KubeVirtStatus{ObservedKubeVirtVersion: version},
	}
}

// disabling is a KubeVirt with one gate disabled, and others enabled.
func disabling(version, disabled string, gates ...string) *kubevirtv1.KubeVirt {
	kubeVirt := kubeVirt(version, gates...)
	kubeVirt.Spec.Configuration.DeveloperConfiguration.DisabledFeatureGates = []string{disabled}
	return kubeVirt
}

func quota(name string, hard, used corev1.ResourceList) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Status: corev1.ResourceQuotaStatus{Hard: hard, Used: used}}
}

func (c *cluster) plugin(t *testing.T) (*Plugin, *dynamicfake.FakeDynamicClient) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	client := fake.NewClientset(c.objects...)
	scheme := runtime.NewScheme()
	require.NoError(t, kubevirtv1.AddToScheme(scheme))
	require.NoError(t, cdiv1.AddToScheme(scheme))
	dynamicClient := dynamicfake.NewSimpleDynamicClient(scheme, c.kubeVirt...)
	if c.kubeErr != nil {
		dynamicClient.PrependReactor("list", "*", func(kubetesting.Action) (bool, runtime.Object, error) { return true, nil, c.kubeErr })
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	t.Cleanup(func() {
		cancel()
		factory.Shutdown()
	})
	plugin := NewPlugin(testingclock.NewFakePassiveClock(time.Unix(1000, 0)))
	require.Error(t, plugin.ValidateInitialization())
	plugin.SetExternalKubeClientSet(client)
	plugin.SetDynamicClient(dynamicClient)
	plugin.SetExternalKubeInformerFactory(factory)
	require.NoError(t, plugin.ValidateInitialization())
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		require.True(t, synced, kind)
	}
	return plugin, dynamicClient
}

type recorder struct{ texts []string }

func (r *recorder) AddWarning(_, text string) { r.texts = append(r.texts, text) }

func validMachine() *tensorstack.VirtualServer {
	vs := &tensorstack.VirtualServer{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "vs"}}
	vs.Spec.Resources.Memory = resource.MustParse("8Gi")
	vs.Spec.Storage.Root.PVC.Size = resource.MustParse("4Gi")
	return vs
}

func warnings(t *testing.T, plugin *Plugin, updated, old *tensorstack.VirtualServer, dryRun bool) []string {
	t.Helper()
	recorder := &recorder{}
	ctx := warning.WithWarningRecorder(context.Background(), recorder)
	kind, resources := tensorstack.SchemeGroupVersion.WithKind("VirtualServer"), tensorstack.SchemeGroupVersion.WithResource("virtualservers")
	attributes := admission.NewAttributesRecord(updated, nil, kind, namespace, "vs", resources, "", admission.Create, nil, dryRun, &user.DefaultInfo{})
	if old != nil {
		attributes = admission.NewAttributesRecord(updated, old, kind, namespace, "vs", resources, "", admission.Update, nil, dryRun, &user.DefaultInfo{})
	}
	require.NoError(t, plugin.Validate(ctx, attributes, nil))
	return recorder.texts
}

func disk(volume tensorstack.VolumeSource) func(*tensorstack.VirtualServerSpec) {
	return func(spec *tensorstack.VirtualServerSpec) {
		spec.Storage.AdditionalDisks = []tensorstack.AdditionalDisk{{Name: "d", VolumeSource: volume}}
	}
}

func filesystem(volume tensorstack.VolumeSource) func(*tensorstack.VirtualServerSpec) {
	return func(spec *tensorstack.VirtualServerSpec) {
		spec.Storage.Filesystems = []tensorstack.Filesystem{{Name: "f", VolumeSource: volume}}
	}
}

func volume(claim string) tensorstack.VolumeSource {
	return tensorstack.VolumeSource{PersistentVolumeClaim: &tensorstack.PersistentVolumeClaimSource{ClaimName: claim}}
}

func configMap(name string, optional *bool) tensorstack.VolumeSource {
	return tensorstack.VolumeSource{ConfigMap: &tensorstack.ConfigMapSource{Name: name, Optional: optional}}
}

func account(name string) tensorstack.VolumeSource {
	return tensorstack.VolumeSource{ServiceAccount: &tensorstack.ServiceAccountSource{ServiceAccountName: name}}
}

func TestWarnings(t *testing.T) {
	gpu := func(kind string, count int32) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) {
			spec.Resources.GPU = &tensorstack.GPU{Type: kind, Count: count}
		}
	}
	cores := func(cores string) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) { spec.Resources.CPU.Cores = intstr.FromString(cores) }
	}
	with := func(objects ...runtime.Object) func(*cluster) {
		return func(c *cluster) { c.objects = append(c.objects, objects...) }
	}
	kube := func(objects ...runtime.Object) func(*cluster) {
		return func(c *cluster) { c.kubeVirt = objects }
	}
	permitted := kubeVirt("v1.9.0")
	permitted.Spec.Configuration.PermittedHostDevices = &kubevirtv1.PermittedHostDevices{
		PciHostDevices: []kubevirtv1.PciHostDevice{{ResourceName: "nvidia.com/other"}}}
	clone := func(namespace string) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) {
			spec.Storage.Root.Source.PVC = &cdiv1.DataVolumeSourcePVC{Namespace: namespace, Name: "gone"}
		}
	}
	tests := map[string]struct {
		cluster func(*cluster)
		spec    func(*tensorstack.VirtualServerSpec)
		want    []string
	}{
		"nothing": {nil, nil, nil},
		"a class": {nil, func(spec *tensorstack.VirtualServerSpec) { spec.Storage.Root.PVC.StorageClassName = ptr.To("fixed") }, nil},
		"a missing class": {nil, func(spec *tensorstack.VirtualServerSpec) { spec.Storage.Root.PVC.StorageClassName = ptr.To("gone") },
			[]string{`spec.storage.root.pvc.storageClassName: there is no StorageClass "gone"`}},
		"an empty class": {nil, func(spec *tensorstack.VirtualServerSpec) { spec.Storage.Root.PVC.StorageClassName = ptr.To("") },
			[]string{"spec.storage.root.pvc.storageClassName: is empty, which asks for a volume that an administrator has made by hand"}},
		"no default class":     {func(c *cluster) { c.objects = c.objects[1:] }, nil, []string{"no default StorageClass"}},
		"known volumes":        {nil, func(spec *tensorstack.VirtualServerSpec) { disk(volume("raw"))(spec); filesystem(volume("data"))(spec) }, nil},
		"a missing claim":      {nil, disk(volume("gone")), []string{`spec.storage.additionalDisks[0]: there is no PersistentVolumeClaim "gone"`}},
		"a missing filesystem": {nil, filesystem(volume("gone")), []string{`spec.storage.filesystems[0]: there is no PersistentVolumeClaim "gone"`}},
		"a missing ephemeral claim": {nil, disk(tensorstack.VolumeSource{Ephemeral: &tensorstack.EphemeralSource{
			PersistentVolumeClaim: &tensorstack.PersistentVolumeClaimSource{ClaimName: "gone"}}}), []string{"no PersistentVolumeClaim"}},
		"a gate that is disabled": {kube(disabling("v1.9.0", "EnableVirtioFsStorageVolumes")), filesystem(volume("data")),
			[]string{"move EnableVirtioFsStorageVolumes from disabledFeatureGates"}},
		"a gate that is on and off": {kube(disabling("v1.9.0", "EnableVirtioFsStorageVolumes", "EnableVirtioFsStorageVolumes")),
			filesystem(volume("data")), []string{"move EnableVirtioFsStorageVolumes"}},
		"another gate is disabled":        {kube(disabling("v1.9.0", "RebootPolicy", "EnableVirtioFsStorageVolumes")), filesystem(volume("data")), nil},
		"a block filesystem":              {nil, filesystem(volume("raw")), []string{"is a Block volume"}},
		"a missing source":                {nil, clone(namespace), []string{`spec.storage.root.source.pvc: there is no PersistentVolumeClaim "gone"`}},
		"a missing source elsewhere":      {nil, clone("other"), nil},
		"a ConfigMap":                     {nil, disk(configMap("app-config", nil)), nil},
		"a missing ConfigMap":             {nil, disk(configMap("gone", nil)), []string{`spec.storage.additionalDisks[0].configMap: there is no ConfigMap "gone"`}},
		"a missing optional ConfigMap":    {nil, disk(configMap("gone", ptr.To(true))), nil},
		"a ServiceAccount":                {nil, filesystem(account("app")), nil},
		"a missing ServiceAccount":        {nil, filesystem(account("gone")), []string{`spec.storage.filesystems[0].serviceAccount: there is no ServiceAccount "gone"`}},
		"GPUs":                            {nil, gpu("nvidia.com/gpu", 2), nil},
		"too many GPUs":                   {nil, gpu("nvidia.com/gpu", 3), []string{`spec.resources.gpu.count: no node has more than 2`}},
		"GPUs of no node":                 {nil, gpu("nvidia.com/a100", 1), []string{`no node offers "nvidia.com/a100"`}},
		"GPUs of a node without machine":  {nil, gpu("amd.com/gpu", 1), []string{`no node offers "amd.com/gpu"`}},
		"a GPU that KubeVirt forbids":     {kube(permitted), gpu("nvidia.com/gpu", 1), []string{"permittedHostDevices"}},
		"a CPU model":                     {nil, func(spec *tensorstack.VirtualServerSpec) { spec.Resources.CPU.Model = "Conroe" }, nil},
		"the CPU of the host":             {nil, func(spec *tensorstack.VirtualServerSpec) { spec.Resources.CPU.Model = "host-passthrough" }, nil},
		"an unknown CPU model":            {nil, func(spec *tensorstack.VirtualServerSpec) { spec.Resources.CPU.Model = "Z80" }, []string{`CPU model "Z80"`}},
		"too much memory":                 {nil, func(spec *tensorstack.VirtualServerSpec) { spec.Resources.Memory = resource.MustParse("64Gi") }, []string{"the largest has 32Gi"}},
		"as many cores as a node has":     {nil, cores("16"), nil},
		"too many cores":                  {nil, cores("17"), []string{"spec.resources.cpu.cores: no node has that many CPU cores: the largest has 16"}},
		"cores of a node without machine": {nil, cores("64"), []string{"the largest has 16"}},
		"cores as a number": {nil, func(spec *tensorstack.VirtualServerSpec) { spec.Resources.CPU.Cores = intstr.FromInt32(1024) },
			[]string{"the largest has 16"}},
		"cores of a node that tells only what pods may have": {func(c *cluster) {
			c.objects = append(c.objects, node("node-c", "true", corev1.ResourceList{"memory": resource.MustParse("32Gi"), "cpu": resource.MustParse("31500m")}))
		}, cores("32"), []string{"the largest has 31500m"}},
		"cores of the largest of several nodes": {func(c *cluster) {
			c.objects = append(c.objects, withCores(node("node-c", "true", nil), "48"), withCores(node("node-d", "true", nil), "24"))
		}, cores("48"), nil},
		"nodes that do not tell": {func(c *cluster) {
			c.objects[2] = node("node-a", "true", corev1.ResourceList{"memory": resource.MustParse("32Gi")})
		},
			cores("99"), nil},
		"no node for machines":        {func(c *cluster) { c.objects = append(c.objects[:2:2], c.objects[3:]...) }, nil, []string{"no node of this cluster can run machines"}},
		"no KubeVirt":                 {kube(), nil, []string{"KubeVirt is not installed"}},
		"an unreadable KubeVirt":      {func(c *cluster) { c.kubeErr = errors.New("forbidden") }, filesystem(volume("data")), nil},
		"no gate for claims":          {kube(kubeVirt("v1.9.0")), filesystem(volume("data")), []string{"feature gate EnableVirtioFsStorageVolumes"}},
		"the old gate":                {kube(kubeVirt("v1.7.0", oldFilesystemsGate)), filesystem(volume("data")), nil},
		"no gate for config, old":     {kube(kubeVirt("v1.7.0")), filesystem(configMap("app-config", nil)), []string{"feature gate EnableVirtioFsConfigVolumes"}},
		"no gate for config, new":     {kube(kubeVirt("v1.8.1")), filesystem(configMap("app-config", nil)), nil},
		"no gate for config, unknown": {kube(kubeVirt("")), filesystem(configMap("app-config", nil)), nil},
		"room in a quota": {with(quota("q", corev1.ResourceList{"pods": resource.MustParse("2"), "requests.memory": resource.MustParse("9Gi")},
			corev1.ResourceList{"pods": resource.MustParse("1")})), nil, nil},
		"full quotas": {with(
			quota("b", corev1.ResourceList{"pods": resource.MustParse("1")}, corev1.ResourceList{"pods": resource.MustParse("1")}),
			quota("a", corev1.ResourceList{"requests.memory": resource.MustParse("10Gi"), "requests.storage": resource.MustParse("1Gi")},
				corev1.ResourceList{"requests.memory": resource.MustParse("4Gi")}),
		), nil, []string{
			`the ResourceQuota "a" leaves 6Gi of requests.memory and the machine needs 8452Mi`,
			`the ResourceQuota "a" leaves 1Gi of requests.storage and the machine needs 4Gi`,
			`the ResourceQuota "b" leaves 0 of pods`,
		}},
		"a quota with a scope": {with(&corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "q"},
			Spec:   corev1.ResourceQuotaSpec{Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}},
			Status: corev1.ResourceQuotaStatus{Hard: corev1.ResourceList{"pods": resource.MustParse("0")}}}), nil, nil},
		"a full quota of what only some need": {with(quota("q", corev1.ResourceList{
			"services": resource.MustParse("0"), "secrets": resource.MustParse("0"), "requests.nvidia.com/gpu": resource.MustParse("1"),
			"fixed.storageclass.storage.k8s.io/requests.storage": resource.MustParse("1Gi"),
		}, nil)), func(spec *tensorstack.VirtualServerSpec) {
			gpu("nvidia.com/gpu", 2)(spec)
			spec.Network.TCP, spec.CloudInit = []int32{80}, "#cloud-config\n"
			spec.Storage.Root.PVC.StorageClassName = ptr.To("fixed")
		}, []string{"fixed.storageclass", "requests.nvidia.com/gpu", "of secrets", "of services"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cluster, vs := goodCluster(), validMachine()
			if test.cluster != nil {
				test.cluster(cluster)
			}
			if test.spec != nil {
				test.spec(&vs.Spec)
			}
			plugin, _ := cluster.plugin(t)
			got := warnings(t, plugin, vs, nil, false)
			require.Len(t, got, len(test.want), "%v", got)
			for i, part := range test.want {
				assert.Contains(t, got[i], part)
			}
			assert.Equal(t, got, warnings(t, plugin, vs, nil, true), "a dry run must tell the same")
		})
	}
}

func TestUpdates(t *testing.T) {
	plugin, _ := goodCluster().plugin(t)
	old := validMachine()
	old.Spec.Storage.Root.PVC.StorageClassName = ptr.To("fixed")
	disk(volume("gone"))(&old.Spec)
	same := old.DeepCopy()
	same.Finalizers = []string{"a/b"}
	assert.Empty(t, warnings(t, plugin, same, old, false), "the spec is the same")

	grown := old.DeepCopy()
	grown.Spec.Storage.AdditionalDisks = nil
	grown.Spec.Storage.Root.PVC.Size = resource.MustParse("8Gi")
	got := warnings(t, plugin, grown, old, false)
	require.Len(t, got, 1, "%v", got)
	assert.Contains(t, got[0], `spec.storage.root.pvc.size: the StorageClass "fixed" does not let volumes grow`)
}

func TestKubeVirtIsReadNowAndThen(t *testing.T) {
	clock := testingclock.NewFakePassiveClock(time.Unix(1000, 0))
	scheme := runtime.NewScheme()
	require.NoError(t, kubevirtv1.AddToScheme(scheme))
	client := dynamicfake.NewSimpleDynamicClient(scheme)
	lists := 0
	client.PrependReactor("list", "kubevirts", func(kubetesting.Action) (bool, runtime.Object, error) {
		lists++
		return true, &unstructured.UnstructuredList{}, nil
	})
	reader := newKubeVirtReader(client, clock)
	for range 3 {
		assert.True(t, reader.read(context.Background()).known)
	}
	assert.Equal(t, 1, lists)
	clock.SetTime(time.Unix(1000, 0).Add(kubeVirtTTL))
	reader.read(context.Background())
	assert.Equal(t, 2, lists)
}

func TestNothingIsSaidBeforeTheCachesAreFull(t *testing.T) {
	plugin, _ := goodCluster().plugin(t)
	never := func() bool { return false }
	plugin.claimsSynced, plugin.classesSynced, plugin.nodesSynced, plugin.quotasSynced = never, never, never, never
	vs := validMachine()
	disk(volume("gone"))(&vs.Spec)
	assert.Empty(t, warnings(t, plugin, vs, nil, false))
}
