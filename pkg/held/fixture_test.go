package held

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/server/options"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/client-go/kubernetes/fake"
	clocktesting "k8s.io/utils/clock/testing"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apiserver/scheme"
	"tensorstack.dev/virtualserver/pkg/etcd"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/heldvirtualserver"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver/storage"
)

const prefix = "/registry/tensorstack.dev"

// password stands in the cloud-init of every VirtualServer here.
const password = "correct horse battery staple"

// plant is the storage as the server has it, on an etcd and a cluster of its own.
type plant struct {
	t *testing.T
	*Keeper
	ctx     context.Context
	clock   *clocktesting.FakeClock
	client  *clientv3.Client
	servers *storage.REST
	held    *heldvirtualserver.Storage
	getter  generic.RESTOptionsGetter
	cluster *fake.Clientset
}

type transformers struct{ value.Transformer }

// TransformerForResource encrypts VirtualServers, and says of others that nobody has thought of them.
func (e transformers) TransformerForResource(resource schema.GroupResource) value.Transformer {
	if resource == tensorstack.Resource("virtualservers") {
		return e.Transformer
	}
	return nil
}

func getterOf(endpoint string, encryption value.Transformer) generic.RESTOptionsGetter {
	config := storagebackend.NewDefaultConfig(prefix, nil)
	config.Transport.ServerList = []string{endpoint}
	factory := serverstorage.NewDefaultStorageFactory(*config, runtime.ContentTypeJSON, scheme.Codecs,
		serverstorage.NewDefaultResourceEncodingConfig(scheme.Scheme), serverstorage.NewResourceConfig(), nil)
	if encryption == nil {
		return options.NewEtcdOptions(config).CreateRESTOptionsGetter(factory, nil)
	}
	return options.NewEtcdOptions(config).CreateRESTOptionsGetter(factory, transformers{encryption})
}

func newPlant(t *testing.T, encryption value.Transformer) *plant {
	t.Helper()
	embedded, err := etcd.StartEmbedded(context.Background(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(embedded.Close)
	client, err := etcd.NewClient(context.Background(), storagebackend.TransportConfig{ServerList: []string{embedded.Endpoint()}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })

	p := &plant{t: t, client: client, getter: getterOf(embedded.Endpoint(), encryption),
		clock:   clocktesting.NewFakeClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
		cluster: fake.NewClientset(), ctx: genericapirequest.WithNamespace(t.Context(), "team")}
	p.makeNamespace(metav1.NamespaceSystem, "cluster")
	p.makeNamespace("team", "team-1")
	p.Keeper = p.keeper(p.getter)
	all, err := storage.New(p.getter, storage.Options{Typer: scheme.Scheme, Namespaces: p, Machines: noMachines{}, Clock: p.clock})
	require.NoError(t, err)
	t.Cleanup(all.VirtualServer.Destroy)
	p.servers = all.VirtualServer
	p.held, err = heldvirtualserver.New(p.getter, scheme.Scheme, p.Keeper, p.clock)
	require.NoError(t, err)
	t.Cleanup(p.held.Held.Destroy)
	return p
}

// keeper returns a Keeper as another process would have it.
func (p *plant) keeper(getter generic.RESTOptionsGetter) *Keeper {
	p.t.Helper()
	store, err := NewStore(p.client, getter)
	require.NoError(p.t, err)
	return &Keeper{
		Store: store, Kubernetes: p.cluster, Retention: 7 * 24 * time.Hour, Clock: p.clock, Metrics: NewMetrics(),
		Guard: &etcd.Guard{Store: p.client, Prefix: prefix, Cluster: p.cluster, Namespace: "virtualserver-system"},
	}
}

type noMachines struct{}

func (noMachines) Machine(context.Context, string, string) (virtualserver.Machine, error) {
	return virtualserver.Machine{}, nil
}

// NamespaceUID implements storage.NamespaceReader.
func (p *plant) NamespaceUID(ctx context.Context, name string) (types.UID, error) {
	namespace, err := p.cluster.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return namespace.UID, nil
}

func (p *plant) makeNamespace(name string, uid types.UID) {
	p.t.Helper()
	_, err := p.cluster.CoreV1().Namespaces().Create(p.t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid, CreationTimestamp: metav1.NewTime(p.clock.Now())},
	}, metav1.CreateOptions{})
	require.NoError(p.t, err)
}

func (p *plant) deleteNamespace(name string) {
	p.t.Helper()
	require.NoError(p.t, p.cluster.CoreV1().Namespaces().Delete(p.t.Context(), name, metav1.DeleteOptions{}))
}

// replaceNamespace is another tenant who takes the name.
func (p *plant) replaceNamespace(uid types.UID) {
	p.t.Helper()
	p.deleteNamespace("team")
	p.clock.Step(time.Minute)
	p.makeNamespace("team", uid)
}

func (p *plant) create(name string) *tensorstack.VirtualServer {
	p.t.Helper()
	external := &v1beta1.VirtualServer{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "team", Finalizers: []string{"tensorstack.dev/machine"}}}
	external.Spec.Resources = v1beta1.Resources{CPU: v1beta1.CPU{Cores: intstr.FromInt32(1)}, Memory: resource.MustParse("1Gi")}
	external.Spec.Storage.Root.PVC = v1beta1.RootDiskClaim{
		Size: resource.MustParse("4Gi"), AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
	}
	external.Spec.Storage.Root.Source = cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}
	external.Spec.CloudInit = "#cloud-config\npassword: " + password + "\n"
	scheme.Scheme.Default(external)
	internal := &tensorstack.VirtualServer{}
	require.NoError(p.t, scheme.Scheme.Convert(external, internal, nil))
	created, err := p.servers.Create(p.ctx, internal, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	require.NoError(p.t, err)
	return created.(*tensorstack.VirtualServer)
}

// served returns the VirtualServer of the name, nil if there is none.
func (p *plant) served(name string) *tensorstack.VirtualServer {
	p.t.Helper()
	vs, err := p.servers.GetVirtualServer(p.ctx, name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	require.NoError(p.t, err)
	return vs
}

// listed returns all that are held.
func (p *plant) listed() []tensorstack.HeldVirtualServer {
	p.t.Helper()
	list, err := p.held.Held.List(p.t.Context(), nil)
	require.NoError(p.t, err)
	return list.(*tensorstack.HeldVirtualServerList).Items
}

// edit changes an object in etcd behind everybody's back, as an older version would have stored it.
func (p *plant) edit(vs *tensorstack.VirtualServer, change func(*tensorstack.VirtualServer)) {
	p.t.Helper()
	key := p.Store.serverKey(vs.Namespace, vs.Name)
	found, err := one[*tensorstack.VirtualServer](p.t.Context(), p.Store, key)
	require.NoError(p.t, err)
	change(found.object)
	found.object.ResourceVersion = ""
	data, err := p.Store.encode(p.t.Context(), key, found.object)
	require.NoError(p.t, err)
	_, err = p.client.Put(p.t.Context(), key, data)
	require.NoError(p.t, err)
}

// dump returns everything in etcd.
func (p *plant) dump() string {
	p.t.Helper()
	answer, err := p.client.Get(p.t.Context(), "/", clientv3.WithPrefix())
	require.NoError(p.t, err)
	text := ""
	for _, kv := range answer.Kvs {
		text += string(kv.Key) + " " + string(kv.Value) + "\n"
	}
	return text
}
