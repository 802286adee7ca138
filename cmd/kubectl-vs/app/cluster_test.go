package app

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// cluster answers as a cluster would, as far as errors go: it knows machines, and what a user must not do. What commands do in a real
// one is tested there (test/integration).
type cluster struct {
	*httptest.Server
	mu sync.Mutex
	// machines are the VirtualServers, by namespace and name.
	machines map[string]*v1beta1.VirtualServer
	// events are what happened.
	events []corev1.Event
	// forbidden is what this user must not do, as verb and resource with subresource.
	forbidden []string
	// open answers for a stream, nil for an open one that ends at once.
	open func(path string) error
	// asked are the requests, as method and path.
	asked []string
}

func newCluster(t *testing.T, machines ...*v1beta1.VirtualServer) *cluster {
	t.Helper()
	c := &cluster{machines: map[string]*v1beta1.VirtualServer{}}
	for _, vs := range machines {
		c.machines[vs.Namespace+"/"+vs.Name] = vs
	}
	c.Server = httptest.NewTLSServer(c)
	t.Cleanup(c.Close)
	return c
}

// set changes a machine while a command runs.
func (c *cluster) set(key string, vs *v1beta1.VirtualServer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if vs == nil {
		delete(c.machines, key)
		return
	}
	c.machines[key] = vs
}

// ServeHTTP implements http.Handler.
func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, r.Method+" "+r.URL.Path)
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/apis/tensorstack.dev/v1beta1/"), "/")
	if strings.HasPrefix(r.URL.Path, "/api/v1/") {
		c.core(w, strings.Split(strings.TrimPrefix(r.URL.Path, "/api/v1/"), "/"))
		return
	}
	if parts[0] == "virtualservers" {
		parts = []string{"namespaces", "", "virtualservers"}
	}
	resource := strings.Join(append([]string{"virtualservers"}, parts[min(4, len(parts)):min(5, len(parts))]...), "/")
	if err := c.refuses(r.Method, resource, parts); err != nil {
		answer(w, err)
		return
	}
	if len(parts) < 4 {
		c.list(w, r, parts[1])
		return
	}
	vs := c.machines[parts[1]+"/"+parts[3]]
	switch {
	case r.Method == http.MethodPost && len(parts) == 4:
		answer(w, nil)
	case vs == nil:
		answer(w, apierrors.NewNotFound(schema.GroupResource{Group: v1beta1.GroupName, Resource: "virtualservers"}, parts[3]))
	case len(parts) == 4:
		answer(w, vs)
	case websocket.IsWebSocketUpgrade(r):
		c.stream(w, r, vs, strings.Join(parts[4:], "/"))
	case vs.Status.PrintableStatus != v1beta1.StatusRunning:
		answer(w, refusedBecause(http.StatusConflict, "the machine is not running"))
	default:
		answer(w, vs)
	}
}

// refuses is a 403, as kube-apiserver words it, for what the user must not do.
func (c *cluster) refuses(method, resource string, parts []string) error {
	verb := map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodPatch: "patch"}[method]
	if len(parts) < 4 && verb == "get" {
		verb = "list"
	}
	for _, forbidden := range c.forbidden {
		if forbidden == verb+" "+resource {
			name := ""
			if len(parts) > 3 {
				name = parts[3]
			}
			return apierrors.NewForbidden(schema.GroupResource{Group: v1beta1.GroupName, Resource: "virtualservers"}, name, fmt.Errorf(
				"User \"ann\" cannot %s resource %q in API group \"tensorstack.dev\" in the namespace %q", verb, resource, parts[1]))
		}
	}
	return nil
}

// core answers for pods, events and so on: of most there is nothing.
func (c *cluster) core(w http.ResponseWriter, parts []string) {
	for _, forbidden := range c.forbidden {
		if resource := parts[min(2, len(parts)-1)]; forbidden == "list "+resource {
			answer(w, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", fmt.Errorf(
				"User \"ann\" cannot list resource %q in API group \"\" in the namespace %q", resource, parts[1])))
			return
		}
	}
	switch {
	case parts[len(parts)-1] == "events":
		answer(w, &corev1.EventList{TypeMeta: metav1.TypeMeta{Kind: "EventList", APIVersion: "v1"}, Items: c.events})
	case parts[len(parts)-1] == "pods":
		answer(w, &corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}})
	default:
		answer(w, apierrors.NewNotFound(schema.GroupResource{Resource: parts[min(2, len(parts)-1)]}, parts[len(parts)-1]))
	}
}

func (c *cluster) list(w http.ResponseWriter, r *http.Request, namespace string) {
	list := &v1beta1.VirtualServerList{TypeMeta: metav1.TypeMeta{Kind: "VirtualServerList", APIVersion: v1beta1.SchemeGroupVersion.String()}}
	table := &metav1.Table{TypeMeta: metav1.TypeMeta{Kind: "Table", APIVersion: "meta.k8s.io/v1"},
		ColumnDefinitions: []metav1.TableColumnDefinition{{Name: "Name", Type: "string"}, {Name: "Status", Type: "string"}}}
	for _, vs := range c.machines {
		if namespace == "" || vs.Namespace == namespace {
			list.Items = append(list.Items, *vs)
			row := metav1.TableRow{Cells: []any{vs.Name, string(vs.Status.PrintableStatus)}}
			row.Object.Raw, _ = json.Marshal(&metav1.PartialObjectMetadata{ObjectMeta: vs.ObjectMeta})
			table.Rows = append(table.Rows, row)
		}
	}
	if strings.Contains(r.Header.Get("Accept"), "as=Table") {
		answer(w, table)
		return
	}
	answer(w, list)
}

// stream opens what can be opened, and closes it at once.
func (c *cluster) stream(w http.ResponseWriter, r *http.Request, vs *v1beta1.VirtualServer, path string) {
	if c.open != nil {
		if err := c.open(path); err != nil {
			answer(w, err)
			return
		}
	} else if vs.Status.PrintableStatus != v1beta1.StatusRunning {
		answer(w, refusedBecause(http.StatusConflict, "the machine is not running and will not start by itself (Stopped): start it first"))
		return
	}
	connection, err := (&websocket.Upgrader{Subprotocols: []string{plainProtocol}}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	closeFrame(connection, websocket.CloseNormalClosure, "")
	_ = connection.Close()
}

// refusedBecause is a Status as the VirtualServer API server makes it.
func refusedBecause(code int, message string, causes ...metav1.CauseType) error {
	status := metav1.Status{Status: metav1.StatusFailure, Code: int32(code), Reason: reasonOf(code),
		Message: fmt.Sprintf(`virtualservers.tensorstack.dev "my-vs": %s`, message),
		Details: &metav1.StatusDetails{Group: v1beta1.GroupName, Kind: "virtualservers", Name: "my-vs"}}
	for _, cause := range causes {
		status.Details.Causes = append(status.Details.Causes, metav1.StatusCause{Type: cause})
	}
	return &apierrors.StatusError{ErrStatus: status}
}

// answer writes an object, or the Status of an error.
func answer(w http.ResponseWriter, object any) {
	code := http.StatusOK
	switch made := object.(type) {
	case *apierrors.StatusError:
		status := made.ErrStatus
		status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		code, object = int(status.Code), &status
	case *v1beta1.VirtualServer:
		copied := made.DeepCopy()
		copied.SetGroupVersionKind(v1beta1.SchemeGroupVersion.WithKind("VirtualServer"))
		object = copied
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object)
}

// outcome is what a command printed, and its exit code.
type outcome struct {
	out, err string
	code     int
}

// runs runs a command for a user whose current context is this cluster, in the namespace team. The context "far" leads to another one.
func (c *cluster) runs(t *testing.T, far *cluster, arguments ...string) outcome {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.CurrentContext = "here"
	for name, server := range map[string]*cluster{"here": c, "far": far} {
		if server != nil {
			config.Clusters[name] = &clientcmdapi.Cluster{Server: server.URL, CertificateAuthorityData: authority(server)}
			config.Contexts[name] = &clientcmdapi.Context{Cluster: name, Namespace: "team"}
		}
	}
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, clientcmd.WriteToFile(*config, file))
	t.Setenv("KUBECONFIG", file)
	t.Setenv("HOME", t.TempDir())
	out, errOut := &lockedBuffer{}, &lockedBuffer{}
	command := NewCommand(genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: errOut})
	command.SetArgs(arguments)
	err := command.ExecuteContext(t.Context())
	result := outcome{out: out.String(), err: errOut.String()}
	if err != nil {
		text := ""
		text, result.code = Failure(err)
		result.err += text
	}
	return result
}

func authority(server *cluster) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// lockedBuffer is a bytes.Buffer that a command may write to while the test reads.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(content []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(content)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
