package virtualserver

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	clocktesting "k8s.io/utils/clock/testing"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	versionedfake "tensorstack.dev/virtualserver/pkg/generated/clientset/versioned/fake"
	"tensorstack.dev/virtualserver/pkg/limits"
)

// fakeKubeVirt holds objects and notes calls. It knows nothing of KubeVirt's behaviour, which is tested against the real
// one; here it only brings about errors and counts writes.
type fakeKubeVirt struct {
	machines  map[string]*kubevirtv1.VirtualMachine
	instances map[string]*kubevirtv1.VirtualMachineInstance
	volumes   map[string]*cdiv1.DataVolume
	// calls are the writes, such as "create VirtualMachine".
	calls []string
	// reads are the reads from the servers, such as "get VirtualMachine".
	reads []string
	// fail returns the error of a write, or nil.
	fail func(call string) error
	// refuseMachine returns the error of a write of this machine, or nil.
	refuseMachine func(*kubevirtv1.VirtualMachine) error
	version       int
}

var _ KubeVirt = &fakeKubeVirt{}

func newFakeKubeVirt() *fakeKubeVirt {
	return &fakeKubeVirt{
		machines:  map[string]*kubevirtv1.VirtualMachine{},
		instances: map[string]*kubevirtv1.VirtualMachineInstance{},
		volumes:   map[string]*cdiv1.DataVolume{},
		fail:      func(string) error { return nil },

		refuseMachine: func(*kubevirtv1.VirtualMachine) error { return nil },
	}
}

func (f *fakeKubeVirt) write(call string) error {
	f.calls = append(f.calls, call)
	return f.fail(call)
}

func read[T any](objects map[string]*T, resource, name string) (*T, error) {
	if object, found := objects[name]; found {
		return object, nil
	}
	return nil, apierrors.NewNotFound(kubevirtv1.Resource(resource), name)
}

func create[T any, P interface {
	*T
	metav1.Object
}](f *fakeKubeVirt, objects map[string]*T, kind string, object P) (P, error) {
	if err := f.write("create " + kind); err != nil {
		return nil, err
	}
	if _, found := objects[object.GetName()]; found {
		return nil, apierrors.NewAlreadyExists(kubevirtv1.Resource(kind), object.GetName())
	}
	f.version++
	object.SetUID(types.UID("uid-" + strconv.Itoa(f.version)))
	object.SetResourceVersion(strconv.Itoa(f.version))
	objects[object.GetName()] = object
	return object, nil
}

func (f *fakeKubeVirt) Machine(_ context.Context, _, name string) (*kubevirtv1.VirtualMachine, error) {
	f.reads = append(f.reads, "get VirtualMachine")
	return read(f.machines, "virtualmachines", name)
}

func (f *fakeKubeVirt) Instance(_ context.Context, _, name string) (*kubevirtv1.VirtualMachineInstance, error) {
	f.reads = append(f.reads, "get VirtualMachineInstance")
	return read(f.instances, "virtualmachineinstances", name)
}

func (f *fakeKubeVirt) DataVolume(_ context.Context, _, name string) (*cdiv1.DataVolume, error) {
	f.reads = append(f.reads, "get DataVolume")
	return read(f.volumes, "datavolumes", name)
}

func (f *fakeKubeVirt) CreateMachine(_ context.Context, vm *kubevirtv1.VirtualMachine) (*kubevirtv1.VirtualMachine, error) {
	return create(f, f.machines, "VirtualMachine", vm.DeepCopy())
}

func (f *fakeKubeVirt) CreateDataVolume(_ context.Context, dv *cdiv1.DataVolume) (*cdiv1.DataVolume, error) {
	return create(f, f.volumes, "DataVolume", dv.DeepCopy())
}

func (f *fakeKubeVirt) PatchMachine(_ context.Context, _, vm *kubevirtv1.VirtualMachine) (*kubevirtv1.VirtualMachine, error) {
	if err := errors.Join(f.write("patch VirtualMachine"), f.refuseMachine(vm)); err != nil {
		return nil, err
	}
	f.machines[vm.Name] = vm
	return vm, nil
}

func (f *fakeKubeVirt) PatchDataVolume(_ context.Context, _, dv *cdiv1.DataVolume) (*cdiv1.DataVolume, error) {
	f.volumes[dv.Name] = dv
	return dv, f.write("patch DataVolume")
}

func (f *fakeKubeVirt) DeleteMachine(_ context.Context, _, name string, _ metav1.DeleteOptions) error {
	delete(f.machines, name)
	return f.write("delete VirtualMachine")
}

func (f *fakeKubeVirt) DeleteInstance(_ context.Context, _, name string, _ metav1.DeleteOptions) error {
	delete(f.instances, name)
	return f.write("delete VirtualMachineInstance")
}

func (f *fakeKubeVirt) DeleteDataVolume(_ context.Context, _, name string, _ metav1.DeleteOptions) error {
	delete(f.volumes, name)
	return f.write("delete DataVolume")
}

func (f *fakeKubeVirt) ImporterResources(context.Context) (corev1.ResourceRequirements, error) {
	return limits.Importer(), nil
}

func (f *fakeKubeVirt) StartMachine(context.Context, string, string, kubevirtv1.StartOptions) error {
	return f.write("start")
}

func (f *fakeKubeVirt) StopMachine(context.Context, string, string, kubevirtv1.StopOptions) error {
	return f.write("stop")
}

func (f *fakeKubeVirt) RestartMachine(context.Context, string, string, kubevirtv1.RestartOptions) error {
	return f.write("restart")
}

func (f *fakeKubeVirt) UnpauseInstance(context.Context, string, string) error {
	return f.write("unpause")
}

func (f *fakeKubeVirt) CancelRequests(context.Context, *kubevirtv1.VirtualMachine) error {
	return f.write("cancel")
}

func (f *fakeKubeVirt) MachineInformer(_ labels.Selector, indexers cache.Indexers) cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(&cache.ListWatch{}, &kubevirtv1.VirtualMachine{}, 0, indexers)
}

func (f *fakeKubeVirt) InstanceInformer(_ labels.Selector, indexers cache.Indexers) cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(&cache.ListWatch{}, &kubevirtv1.VirtualMachineInstance{}, 0, indexers)
}

func (f *fakeKubeVirt) DataVolumeInformer(_ labels.Selector, indexers cache.Indexers) cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(&cache.ListWatch{}, &cdiv1.DataVolume{}, 0, indexers)
}

// bench is a controller on fake servers. Its caches are filled from the servers before each pass.
type bench struct {
	*Controller
	t          *testing.T
	kubevirt   *fakeKubeVirt
	kubernetes *kubernetesfake.Clientset
	servers    *versionedfake.Clientset
	events     *record.FakeRecorder
	// volumesUnseen keeps the cache of DataVolumes empty, as it is for a while after CDI was installed.
	volumesUnseen bool
	// namespaceSeen puts the namespace into the cache.
	namespaceSeen func(cache.Indexer) error
}

const testNamespace = "ns"

// testNamespaceUID is that of the namespace which the VirtualServers of a bench belong to.
const testNamespaceUID = types.UID("uid-of-ns")

func newBench(t *testing.T, vs *v1beta1.VirtualServer, objects ...*corev1.Secret) *bench {
	t.Helper()
	b := &bench{t: t, kubevirt: newFakeKubeVirt(), kubernetes: kubernetesfake.NewClientset(namespaceOf(testNamespaceUID)),
		servers: versionedfake.NewSimpleClientset(vs), events: record.NewFakeRecorder(100),
		namespaceSeen: func(indexer cache.Indexer) error { return indexer.Add(namespaceOf(testNamespaceUID)) }}
	for _, secret := range objects {
		require.NoError(t, b.kubernetes.Tracker().Add(secret))
	}
	b.Controller = NewController(
		Clients{Kubernetes: b.kubernetes, KubeVirt: b.kubevirt, VirtualServers: b.servers}, NewMetrics(),
		clocktesting.NewFakeClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
	b.recorder = b.events
	claims := clienttesting.ObjectReaction(b.kubernetes.Tracker())
	b.kubernetes.PrependReactor("patch", "persistentvolumeclaims", func(action clienttesting.Action) (bool, runtime.Object, error) {
		handled, patched, err := claims(action)
		if claim, ok := patched.(*corev1.PersistentVolumeClaim); ok && err == nil {
			b.kubevirt.version++
			claim.ResourceVersion = strconv.Itoa(b.kubevirt.version)
		}
		return handled, patched, err
	})
	return b
}

func namespaceOf(uid types.UID) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: testNamespace, UID: uid}}
}

func (b *bench) server(name string) *v1beta1.VirtualServer {
	b.t.Helper()
	vs, err := b.servers.TensorstackV1beta1().VirtualServers(testNamespace).Get(b.t.Context(), name, metav1.GetOptions{})
	require.NoError(b.t, err)
	return vs
}

// update writes a VirtualServer as a user does, and returns it as it is then.
func (b *bench) update(vs *v1beta1.VirtualServer) *v1beta1.VirtualServer {
	b.t.Helper()
	written, err := b.servers.TensorstackV1beta1().VirtualServers(testNamespace).Update(b.t.Context(), vs, metav1.UpdateOptions{})
	require.NoError(b.t, err)
	return written
}

// updateStatus writes the status of a VirtualServer.
func (b *bench) updateStatus(vs *v1beta1.VirtualServer) {
	b.t.Helper()
	_, err := b.servers.TensorstackV1beta1().VirtualServers(testNamespace).UpdateStatus(b.t.Context(), vs, metav1.UpdateOptions{})
	require.NoError(b.t, err)
}

// fill brings the caches up to date.
func (b *bench) fill() {
	b.t.Helper()
	for _, named := range b.caches.all() {
		require.NoError(b.t, named.informer.GetIndexer().Replace(nil, ""))
	}
	add := func(informer cache.SharedIndexInformer, object any) {
		require.NoError(b.t, informer.GetIndexer().Add(object))
	}
	servers, err := b.servers.TensorstackV1beta1().VirtualServers(testNamespace).List(b.t.Context(), metav1.ListOptions{})
	require.NoError(b.t, err)
	for i := range servers.Items {
		add(b.caches.servers, &servers.Items[i])
	}
	require.NoError(b.t, b.namespaceSeen(b.caches.namespaces.GetIndexer()))
	for _, vm := range b.kubevirt.machines {
		add(b.caches.machines, vm)
	}
	for _, vmi := range b.kubevirt.instances {
		add(b.caches.instances, vmi)
	}
	for _, dv := range b.kubevirt.volumes {
		if !b.volumesUnseen {
			add(b.caches.volumes, dv)
		}
	}
	secrets, err := b.kubernetes.CoreV1().Secrets(testNamespace).List(b.t.Context(), metav1.ListOptions{})
	require.NoError(b.t, err)
	for i := range secrets.Items {
		add(b.caches.secrets, &secrets.Items[i])
	}
	claims, err := b.kubernetes.CoreV1().PersistentVolumeClaims(testNamespace).List(b.t.Context(), metav1.ListOptions{})
	require.NoError(b.t, err)
	for i := range claims.Items {
		add(b.caches.claims, &claims.Items[i])
	}
	services, err := b.kubernetes.CoreV1().Services(testNamespace).List(b.t.Context(), metav1.ListOptions{})
	require.NoError(b.t, err)
	for i := range services.Items {
		add(b.caches.services, &services.Items[i])
	}
	pods, err := b.kubernetes.CoreV1().Pods(testNamespace).List(b.t.Context(), metav1.ListOptions{})
	require.NoError(b.t, err)
	for i := range pods.Items {
		add(b.caches.launchers, &pods.Items[i])
	}
	classes, err := b.kubernetes.StorageV1().StorageClasses().List(b.t.Context(), metav1.ListOptions{})
	require.NoError(b.t, err)
	for i := range classes.Items {
		add(b.caches.classes, &classes.Items[i])
	}
	nodes, err := b.kubernetes.CoreV1().Nodes().List(b.t.Context(), metav1.ListOptions{})
	require.NoError(b.t, err)
	for i := range nodes.Items {
		add(b.caches.nodes, &nodes.Items[i])
	}
	for _, named := range b.caches.all() {
		// A real one is told when nothing is missing.
		named.informer.GetIndexer().Bookmark(strconv.Itoa(max(b.kubevirt.version, 1)))
	}
}

// pass runs one pass and returns how it ended, and the reasons of its events.
func (b *bench) pass(name string) (outcome, []string, error) {
	b.t.Helper()
	b.fill()
	return b.passOnOldCaches(name)
}

// passOnOldCaches runs one pass on what the caches held before.
func (b *bench) passOnOldCaches(name string) (outcome, []string, error) {
	b.t.Helper()
	b.kubevirt.calls, b.kubevirt.reads = nil, nil
	b.kubernetes.ClearActions()
	b.servers.ClearActions()
	result, err := b.reconcile(b.t.Context(), cache.ObjectName{Namespace: testNamespace, Name: name})
	var events []string
	for {
		select {
		case e := <-b.events.Events:
			events = append(events, e)
		default:
			return result, events, err
		}
	}
}

// requests returns all requests of the last pass to kube-apiserver, and its writes of the finalizers. Events and the status
// are left out.
func (b *bench) requests() []string {
	requests := slices.Concat(b.kubevirt.reads, b.kubevirt.calls)
	for _, action := range b.kubernetes.Actions() {
		if action.GetVerb() != "list" {
			requests = append(requests, action.GetVerb()+" "+action.GetResource().Resource)
		}
	}
	for _, action := range b.servers.Actions() {
		if action.GetVerb() == "patch" {
			requests = append(requests, "patch virtualservers")
		}
	}
	return requests
}

// writes returns everything that the last pass wrote anywhere.
func (b *bench) writes() []string {
	writes := append([]string{}, b.kubevirt.calls...)
	for _, action := range b.kubernetes.Actions() {
		if verb := action.GetVerb(); verb != "get" && verb != "list" {
			writes = append(writes, verb+" "+action.GetResource().Resource)
		}
	}
	for _, action := range b.servers.Actions() {
		if verb := action.GetVerb(); verb != "get" && verb != "list" {
			writes = append(writes, verb+" "+action.GetResource().Resource+" "+action.GetSubresource())
		}
	}
	return writes
}
