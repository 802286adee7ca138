package storage

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/server/options"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	clocktesting "k8s.io/utils/clock/testing"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apiserver/scheme"
	"tensorstack.dev/virtualserver/pkg/etcd"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver"
)

// fakeMachines is a MachineReader with one answer.
type fakeMachines struct {
	mu      sync.Mutex
	machine virtualserver.Machine
	err     error
	asked   []string
	// meanwhile is called once, after the answer is known and before it is given.
	meanwhile func()
}

func (f *fakeMachines) Machine(_ context.Context, namespace, name string) (virtualserver.Machine, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, namespace+"/"+name)
	machine, err := f.machine, f.err
	if meanwhile := f.meanwhile; meanwhile != nil {
		f.meanwhile = nil
		meanwhile()
	}
	return machine, err
}

// fakeNamespaces are the UIDs of namespaces.
type fakeNamespaces struct {
	uids map[string]types.UID
	err  error
}

func (f *fakeNamespaces) NamespaceUID(_ context.Context, name string) (types.UID, error) {
	if uid, found := f.uids[name]; found || f.err != nil {
		return uid, f.err
	}
	return "", apierrors.NewNotFound(corev1.Resource("namespaces"), name)
}

type fixture struct {
	*Storage
	namespaces *fakeNamespaces
	machines   *fakeMachines
	ctx        context.Context
}

func restOptions(t *testing.T) generic.RESTOptionsGetter {
	t.Helper()
	embedded, err := etcd.StartEmbedded(context.Background(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(embedded.Close)
	config := storagebackend.NewDefaultConfig("/registry/tensorstack.dev", nil)
	config.Transport.ServerList = []string{embedded.Endpoint()}
	etcdOptions := options.NewEtcdOptions(config)
	factory := serverstorage.NewDefaultStorageFactory(*config, runtime.ContentTypeJSON, scheme.Codecs,
		serverstorage.NewDefaultResourceEncodingConfig(scheme.Scheme), serverstorage.NewResourceConfig(), nil)
	return etcdOptions.CreateRESTOptionsGetter(factory, nil)
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	machines, namespaces := &fakeMachines{}, &fakeNamespaces{uids: map[string]types.UID{"ns": "uid-of-ns"}}
	storage, err := New(restOptions(t), Options{
		Typer: scheme.Scheme, Namespaces: namespaces, Machines: machines, Clock: clocktesting.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
	})
	require.NoError(t, err)
	t.Cleanup(storage.VirtualServer.Destroy)
	ctx := genericapirequest.WithNamespace(context.Background(), "ns")
	ctx = genericapirequest.WithUser(ctx, &user.DefaultInfo{Name: "ann"})
	return &fixture{Storage: storage, namespaces: namespaces, machines: machines, ctx: ctx}
}

func newServer(name string, strategy v1beta1.RunStrategy) *tensorstack.VirtualServer {
	external := &v1beta1.VirtualServer{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}}
	external.Spec.RunStrategy = strategy
	external.Spec.Resources = v1beta1.Resources{CPU: v1beta1.CPU{Cores: intstr.FromInt32(1)}, Memory: resource.MustParse("1Gi")}
	external.Spec.Storage.Root.PVC = v1beta1.RootDiskClaim{
		Size: resource.MustParse("4Gi"), AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
	}
	external.Spec.Storage.Root.Source = cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}
	scheme.Scheme.Default(external)
	internal := &tensorstack.VirtualServer{}
	if err := scheme.Scheme.Convert(external, internal, nil); err != nil {
		panic(err)
	}
	return internal
}

func (f *fixture) create(t *testing.T, name string, strategy v1beta1.RunStrategy) *tensorstack.VirtualServer {
	t.Helper()
	created, err := f.VirtualServer.Create(f.ctx, newServer(name, strategy), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	require.NoError(t, err)
	return created.(*tensorstack.VirtualServer)
}

// named gives the VirtualServer a machine, as the controller does.
func (f *fixture) named(t *testing.T, vs *tensorstack.VirtualServer) {
	t.Helper()
	vs = vs.DeepCopy()
	vs.Status.VM.Name = "managed-virtualserver-00000"
	_, _, err := f.Status.Update(f.ctx, vs.Name, rest.DefaultUpdatedObjectInfo(vs), nil, nil, false, &metav1.UpdateOptions{})
	require.NoError(t, err)
}

func (f *fixture) get(t *testing.T, name string) *tensorstack.VirtualServer {
	t.Helper()
	vs, err := f.VirtualServer.GetVirtualServer(f.ctx, name)
	require.NoError(t, err)
	return vs
}

func TestOperationIsWrittenOnceAndAnswered(t *testing.T) {
	f := newFixture(t)
	f.named(t, f.create(t, "vs", v1beta1.RunStrategyAlways))
	f.machines.machine = virtualserver.Machine{InstanceUID: "run-1"}

	answer, err := f.Stop.Create(f.ctx, "vs", &tensorstack.StopOptions{Force: true}, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	require.NoError(t, err)
	stored := f.get(t, "vs")
	assert.Equal(t, answer, runtime.Object(stored))
	assert.Equal(t, tensorstack.RunStrategyHalted, stored.Status.RunStrategy)
	require.NotNil(t, stored.Status.PendingOperation)
	assert.Equal(t, tensorstack.OperationStop, stored.Status.PendingOperation.Type)
	assert.Equal(t, "ann", stored.Status.PendingOperation.RequestedBy)
	assert.Equal(t, types.UID("run-1"), stored.Status.PendingOperation.InstanceUID)
	assert.EqualValues(t, 0, *stored.Status.PendingOperation.GracePeriodSeconds)
	assert.Equal(t, tensorstack.RunStrategyAlways, stored.Spec.RunStrategy, "the spec is the user's")
	assert.EqualValues(t, 1, stored.Generation)
	assert.Equal(t, []string{"ns/managed-virtualserver-00000"}, f.machines.asked)
}

// A restart that was accepted for an instance which is gone would count as done at once.
func TestMachineThatMovesOnIsLookedAtAgain(t *testing.T) {
	f := newFixture(t)
	f.named(t, f.create(t, "vs", v1beta1.RunStrategyAlways))
	f.machines.machine = virtualserver.Machine{InstanceUID: "run-1"}
	f.machines.meanwhile = func() {
		f.machines.machine = virtualserver.Machine{InstanceUID: "run-2"}
		vs := f.get(t, "vs").DeepCopy()
		vs.Status.VM.InstanceUID = "run-2"
		_, _, err := f.Status.Update(f.ctx, "vs", rest.DefaultUpdatedObjectInfo(vs), nil, nil, false, &metav1.UpdateOptions{})
		require.NoError(t, err)
	}
	_, err := f.Restart.Create(f.ctx, "vs", &tensorstack.RestartOptions{}, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	require.NoError(t, err)
	assert.Equal(t, types.UID("run-2"), f.get(t, "vs").Status.PendingOperation.InstanceUID)
	assert.Len(t, f.machines.asked, 2)
}

func TestOperationsThatAreRefused(t *testing.T) {
	f := newFixture(t)
	f.create(t, "vs", v1beta1.RunStrategyAlways)
	denied := apierrors.NewForbidden(tensorstack.Resource("virtualservers"), "vs", errors.New("by a policy"))
	minus, plus := int64(-1), int64(10)
	for _, test := range []struct {
		name string
		call func() (runtime.Object, error)
		is   func(error) bool
		text string
	}{
		{"the table says no", func() (runtime.Object, error) {
			return f.Start.Create(f.ctx, "vs", &tensorstack.StartOptions{}, nil, &metav1.CreateOptions{})
		}, apierrors.IsConflict, "under run strategy Always"},
		{"no machine runs", func() (runtime.Object, error) {
			return f.Restart.Create(f.ctx, "vs", &tensorstack.RestartOptions{}, nil, &metav1.CreateOptions{})
		}, apierrors.IsConflict, "no machine runs"},
		{"no such object", func() (runtime.Object, error) {
			return f.Stop.Create(f.ctx, "other", &tensorstack.StopOptions{}, nil, &metav1.CreateOptions{})
		}, apierrors.IsNotFound, "other"},
		{"a negative grace period", func() (runtime.Object, error) {
			return f.Stop.Create(f.ctx, "vs", &tensorstack.StopOptions{GracePeriodSeconds: &minus}, nil, &metav1.CreateOptions{})
		}, apierrors.IsInvalid, "gracePeriodSeconds"},
		{"restart with a grace period", func() (runtime.Object, error) {
			return f.Restart.Create(f.ctx, "vs", &tensorstack.RestartOptions{GracePeriodSeconds: &plus}, nil, &metav1.CreateOptions{})
		}, apierrors.IsInvalid, "gracePeriodSeconds"},
		{"an unknown dry run", func() (runtime.Object, error) {
			return f.Stop.Create(f.ctx, "vs", &tensorstack.StopOptions{DryRun: []string{"Some"}}, nil, &metav1.CreateOptions{})
		}, apierrors.IsInvalid, "dryRun"},
		{"admission says no", func() (runtime.Object, error) {
			return f.Stop.Create(f.ctx, "vs", &tensorstack.StopOptions{},
				func(context.Context, runtime.Object) error { return denied }, &metav1.CreateOptions{})
		}, apierrors.IsForbidden, "by a policy"},
		{"another kind of body", func() (runtime.Object, error) {
			return f.Stop.Create(f.ctx, "vs", &tensorstack.StartOptions{}, nil, &metav1.CreateOptions{})
		}, apierrors.IsBadRequest, "StopOptions"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := f.get(t, "vs")
			_, err := test.call()
			assert.True(t, test.is(err), "%v", err)
			assert.ErrorContains(t, err, test.text)
			assert.Equal(t, before, f.get(t, "vs"), "nothing is written")
		})
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	f := newFixture(t)
	f.create(t, "vs", v1beta1.RunStrategyAlways)
	before := f.get(t, "vs")
	for name, call := range map[string]func() (runtime.Object, error){
		"in the query": func() (runtime.Object, error) {
			return f.Stop.Create(f.ctx, "vs", &tensorstack.StopOptions{}, nil, &metav1.CreateOptions{DryRun: []string{"All"}})
		},
		"in the body": func() (runtime.Object, error) {
			return f.Stop.Create(f.ctx, "vs", &tensorstack.StopOptions{DryRun: []string{"All"}}, nil, &metav1.CreateOptions{})
		},
	} {
		answer, err := call()
		require.NoError(t, err, name)
		assert.Equal(t, tensorstack.RunStrategyHalted, answer.(*tensorstack.VirtualServer).Status.RunStrategy, name)
		assert.Equal(t, before, f.get(t, "vs"), name)
	}
}

func TestUnknownStateOfTheMachine(t *testing.T) {
	f := newFixture(t)
	f.named(t, f.create(t, "vs", v1beta1.RunStrategyAlways))
	f.machines.err = errors.New("secret internal address refused the connection")
	_, err := f.Stop.Create(f.ctx, "vs", &tensorstack.StopOptions{}, nil, &metav1.CreateOptions{})
	assert.True(t, apierrors.IsServiceUnavailable(err), "%v", err)
	seconds, retry := apierrors.SuggestsClientDelay(err)
	assert.True(t, retry)
	assert.Positive(t, seconds)
	assert.NotContains(t, err.Error(), "secret internal address")
	assert.Equal(t, tensorstack.RunStrategyAlways, f.get(t, "vs").Status.RunStrategy)
}

func TestOperationsOnWhatIsBeingDeleted(t *testing.T) {
	f := newFixture(t)
	vs := newServer("vs", v1beta1.RunStrategyAlways)
	vs.Finalizers = []string{"tensorstack.dev/machine"}
	_, err := f.VirtualServer.Create(f.ctx, vs, nil, &metav1.CreateOptions{})
	require.NoError(t, err)
	_, _, err = f.VirtualServer.Delete(f.ctx, "vs", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
	require.NoError(t, err)
	assert.EqualValues(t, 2, f.get(t, "vs").Generation, "deletion is a change that the controller must observe")
	_, err = f.Stop.Create(f.ctx, "vs", &tensorstack.StopOptions{}, nil, &metav1.CreateOptions{})
	assert.True(t, apierrors.IsConflict(err), "%v", err)
	assert.ErrorContains(t, err, "being deleted")
}

// TestOneOfManyWins has many users stop a machine at the same moment: one is heard, the others are told.
func TestOneOfManyWins(t *testing.T) {
	f := newFixture(t)
	f.create(t, "vs", v1beta1.RunStrategyAlways)
	const users = 16
	results := make(chan error, users)
	for range users {
		go func() {
			_, err := f.Stop.Create(f.ctx, "vs", &tensorstack.StopOptions{}, nil, &metav1.CreateOptions{})
			results <- err
		}()
	}
	won := 0
	for range users {
		if err := <-results; err == nil {
			won++
		} else {
			assert.True(t, apierrors.IsConflict(err), "%v", err)
		}
	}
	assert.Equal(t, 1, won)
	assert.Empty(t, f.get(t, "vs").Status.Operations)
}

func TestStatusIsNeverCreatedAndNeverOverwrittenBlindly(t *testing.T) {
	f := newFixture(t)
	vs := newServer("vs", v1beta1.RunStrategyAlways)
	_, _, err := f.Status.Update(f.ctx, "vs", rest.DefaultUpdatedObjectInfo(vs), nil, nil, true, &metav1.UpdateOptions{})
	assert.True(t, apierrors.IsNotFound(err), "%v", err)

	f.create(t, "vs", v1beta1.RunStrategyAlways)
	_, _, err = f.Status.Update(f.ctx, "vs", rest.DefaultUpdatedObjectInfo(vs), nil, nil, false, &metav1.UpdateOptions{})
	assert.True(t, apierrors.IsInvalid(err) || apierrors.IsConflict(err), "without a resourceVersion: %v", err)

	_, _, err = f.VirtualServer.Update(f.ctx, "vs", rest.DefaultUpdatedObjectInfo(vs), nil, nil, false, &metav1.UpdateOptions{})
	assert.NoError(t, err, "the main resource takes what kubectl replace sends")
}
