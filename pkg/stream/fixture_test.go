package stream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	clientrest "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// memoryStore keeps VirtualServers in memory and tells watchers of changes.
type memoryStore struct {
	rest.TableConvertor
	mu       sync.Mutex
	objects  map[string]*tensorstack.VirtualServer
	watchers map[*watch.FakeWatcher]string
	// manyWatch is set if others watch the same objects.
	manyWatch bool
	watched   chan struct{}
}

func newMemoryStore() *memoryStore {
	return &memoryStore{objects: map[string]*tensorstack.VirtualServer{}, watchers: map[*watch.FakeWatcher]string{}, watched: make(chan struct{}, 100)}
}

func (s *memoryStore) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if server, ok := s.objects[request.NamespaceValue(ctx)+"/"+name]; ok {
		return server.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(tensorstack.Resource("virtualservers"), name)
}

func (s *memoryStore) NewList() runtime.Object { return &tensorstack.VirtualServerList{} }

func (s *memoryStore) List(ctx context.Context, options *internalversion.ListOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := &tensorstack.VirtualServerList{}
	for _, server := range s.objects {
		vm, _ := options.FieldSelector.RequiresExactMatch("status.vm.name")
		if server.Namespace == request.NamespaceValue(ctx) && server.Status.VM.Name == vm {
			list.Items = append(list.Items, *server.DeepCopy())
		}
	}
	return list, nil
}

func (s *memoryStore) Watch(ctx context.Context, options *internalversion.ListOptions) (watch.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, _ := options.FieldSelector.RequiresExactMatch("metadata.name")
	watcher := watch.NewFakeWithChanSize(100, false)
	s.watchers[watcher] = request.NamespaceValue(ctx) + "/" + name
	s.watched <- struct{}{}
	return watcher, nil
}

func (s *memoryStore) put(server *tensorstack.VirtualServer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := server.Namespace + "/" + server.Name
	_, known := s.objects[key]
	s.objects[key] = server.DeepCopy()
	for watcher, watched := range s.watchers {
		if watched != key || watcher.IsStopped() {
			continue
		}
		if known {
			watcher.Modify(s.asWatched(server.DeepCopy()))
		} else {
			watcher.Add(server.DeepCopy())
		}
	}
}

// asWatched wraps an object that many watch, as the watch cache does.
func (s *memoryStore) asWatched(server *tensorstack.VirtualServer) runtime.Object {
	if s.manyWatch {
		return sharedObject{VirtualServer: server}
	}
	return server
}

type sharedObject struct{ *tensorstack.VirtualServer }

func (o sharedObject) GetObject() runtime.Object { return o.VirtualServer.DeepCopy() }

func (o sharedObject) CacheEncode(runtime.Identifier, func(runtime.Object, io.Writer) error, io.Writer) error {
	return errors.New("nobody encodes here")
}

// breakWatches ends all watches as a restart of etcd does.
func (s *memoryStore) breakWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for watcher := range s.watchers {
		watcher.Stop()
		delete(s.watchers, watcher)
	}
}

// policy allows what is in it: "user verb subresource" for the namespace ns. About the users with the name doubt, nobody can
// be asked.
type policy map[string]bool

const doubt = "doubt"

func (p policy) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetResource() == "virtualservers" && a.GetAPIGroup() == "tensorstack.dev" && a.GetNamespace() == "ns" &&
		p[a.GetUser().GetName()+" "+a.GetVerb()+" "+a.GetSubresource()] {
		return authorizer.DecisionAllow, "", nil
	}
	if a.GetUser().GetName() == doubt {
		return authorizer.DecisionNoOpinion, "", errors.New("Post https://10.96.0.1:443/apis/authorization.k8s.io: context deadline exceeded")
	}
	return authorizer.DecisionNoOpinion, "no rule matches", nil
}

// statusResponder writes errors as the API server does.
type statusResponder struct{ w http.ResponseWriter }

func (r statusResponder) Object(int, runtime.Object) {}
func (r statusResponder) Error(err error) {
	r.w.Header().Set("Content-Type", "application/json")
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		r.w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	r.w.WriteHeader(statusCode(err))
	_, _ = r.w.Write([]byte(`{"kind":"Status","message":"` + strings.ReplaceAll(err.Error(), `"`, `'`) + `"}`))
}

// bench is a gateway between a client and a KubeVirt that the test plays.
type bench struct {
	t       testing.TB
	store   *memoryStore
	gateway *Gateway
	events  *record.FakeRecorder
	front   *httptest.Server
	calls   func(*http.Request) Call
}

const testToken = "own-token"

// newBench starts the servers. kubevirt answers what reaches KubeVirt.
func newBench(t testing.TB, kubevirt http.Handler) *bench {
	t.Helper()
	back := httptest.NewTLSServer(kubevirt)
	t.Cleanup(back.Close)
	b := &bench{t: t, store: newMemoryStore(), events: record.NewFakeRecorder(100)}
	rules := policy{"viewer get console": true}
	for _, name := range []string{"alice", "bob"} {
		for _, kind := range Kinds() {
			rules[name+" get "+string(kind)], rules[name+" create "+string(kind)] = true, true
		}
		for _, operation := range Operations() {
			rules[name+" get "+operation.Name], rules[name+" update "+operation.Name] = true, true
		}
	}
	var err error
	b.gateway, err = New(Config{
		Store: b.store, Authorizer: rules, Recorder: b.events, Metrics: NewMetrics(),
		ClientConfig: &clientrest.Config{Host: back.URL, BearerToken: testToken, TLSClientConfig: clientrest.TLSClientConfig{CAData: certificateOf(back)}},
	})
	require.NoError(t, err)
	b.calls = func(req *http.Request) Call {
		return Call{Kind: Kind(strings.TrimPrefix(req.URL.Path, "/")), Namespace: "ns", Name: "vs", Port: Port{22, "tcp"},
			TakeOver: req.URL.Query().Has("takeOver"), PreserveSession: req.URL.Query().Has("preserveSession")}
	}
	b.front = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx := request.WithUser(req.Context(), &user.DefaultInfo{Name: req.Header.Get("Test-User")})
		b.gateway.Stream(b.calls(req), statusResponder{w}).ServeHTTP(w, req.WithContext(ctx))
	}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		require.NoError(t, b.gateway.Sessions().Shutdown(ctx), "every stream ends within five seconds")
		b.front.Close()
	})
	b.store.put(runningServer())
	return b
}

func runningServer() *tensorstack.VirtualServer {
	server := &tensorstack.VirtualServer{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "vs", UID: types.UID("u"), ResourceVersion: "1"}}
	server.Status.RunStrategy = tensorstack.RunStrategyAlways
	server.Status.PrintableStatus = tensorstack.StatusRunning
	server.Status.VM.Name, server.Status.VM.InstanceUID = "managed-virtualserver-9dda9", "run-1"
	return server
}

func certificateOf(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// connect opens a stream as a user.
func (b *bench) connect(user, path string) (*websocket.Conn, *http.Response, error) {
	b.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(b.front.Certificate())
	dialer := websocket.Dialer{
		TLSClientConfig: &tls.Config{RootCAs: roots}, Subprotocols: []string{Subprotocol}, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10,
	}
	return dialer.Dial("wss"+strings.TrimPrefix(b.front.URL, "https")+path, http.Header{"Test-User": {user}})
}

func (b *bench) mustConnect(user, path string) *websocket.Conn {
	b.t.Helper()
	connection, _, err := b.connect(user, path)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// upgraded plays a KubeVirt whose streams are served by a function.
func upgraded(serve func(*websocket.Conn)) http.Handler {
	upgrader := websocket.Upgrader{Subprotocols: []string{Subprotocol}, ReadBufferSize: 10240, WriteBufferSize: 10240}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		connection, err := upgrader.Upgrade(w, req, nil)
		if err != nil {
			return
		}
		defer connection.Close()
		serve(connection)
	})
}

// echo returns every message.
func echo(connection *websocket.Conn) {
	for {
		kind, message, err := connection.ReadMessage()
		if err != nil || connection.WriteMessage(kind, message) != nil {
			return
		}
	}
}

// closeOf reads until the stream ends and returns the close frame. It fails the test after limit.
func closeOf(t *testing.T, connection *websocket.Conn, limit time.Duration) *websocket.CloseError {
	t.Helper()
	require.NoError(t, connection.SetReadDeadline(time.Now().Add(limit)))
	for {
		if _, _, err := connection.ReadMessage(); err != nil {
			var frame *websocket.CloseError
			require.ErrorAs(t, err, &frame)
			return frame
		}
	}
}
