package integration

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// access is one thing that the API lets people do to a machine, as a request.
type access struct {
	method, path string
	stream       bool
	// viewer is true for what the ClusterRole view allows.
	viewer bool
}

// kubeVirtPath is the path of a subresource in KubeVirt's API, which is what follows the prefix.
func kubeVirtPath(namespace, resource, name, subresource string) string {
	return "/apis/subresources.kubevirt.io/v1/namespaces/" + namespace + "/" + resource + "/" + name + "/" + subresource
}

// accesses lists every subresource of a machine, by its own path and through the prefix by both of its names.
func accesses(namespace, name, machine string) []access {
	own := framework.Path(namespace) + "/" + name + "/"
	var list []access
	add := func(method, resource, subresource string, stream, viewer bool) {
		list = append(list, access{method, own + subresource, stream, viewer})
		for _, target := range []string{name, machine} {
			tail := subresource
			list = append(list, access{method, framework.KubeVirtPrefix + kubeVirtPath(namespace, resource, target, tail), stream, viewer})
		}
	}
	for _, stream := range []string{"console", "vnc", "portforward/22", "portforward/53/udp", "usbredir"} {
		add(http.MethodGet, "virtualmachineinstances", stream, true, false)
	}
	for _, reading := range []string{"guestosinfo", "userlist", "filesystemlist"} {
		add(http.MethodGet, "virtualmachineinstances", reading, false, true)
	}
	add(http.MethodGet, "virtualmachineinstances", "vnc/screenshot", false, false)
	for _, operation := range []string{"pause", "unpause", "softreboot", "reset", "addvolume", "removevolume"} {
		add(http.MethodPut, "virtualmachineinstances", operation, false, false)
	}
	for _, operation := range []string{"start", "stop", "restart", "migrate", "memorydump", "removememorydump", "addvolume", "removevolume"} {
		add(http.MethodPut, "virtualmachines", operation, false, false)
	}
	for _, target := range []string{name, machine} {
		for _, resource := range []string{"virtualmachines", "virtualmachineinstances"} {
			path := framework.KubeVirtPrefix + "/apis/kubevirt.io/v1/namespaces/" + namespace + "/" + resource + "/" + target
			list = append(list, access{http.MethodGet, path, false, true})
		}
	}
	return append(list,
		access{http.MethodGet, own + "sessions", false, true},
		access{http.MethodGet, framework.KubeVirtPrefix + "/apis/cdi.kubevirt.io/v1beta1/namespaces/" + namespace + "/datavolumes/" + machine, false, false},
		access{http.MethodGet, framework.KubeVirtPrefix + "/api/v1/namespaces/" + namespace + "/persistentvolumeclaims/" + machine, false, false},
	)
}

// doors are the two addresses at which the product can be reached.
func doors(e *framework.Environment, config *rest.Config) map[string]*rest.Config {
	return map[string]*rest.Config{"through kube-apiserver": config, "at the product's own port": e.ProductConfig(config)}
}

// send sends a request for an access, as a stream if it is one.
func send(e *framework.Environment, config *rest.Config, method, path string, stream bool, more http.Header) (*http.Response, string) {
	header := http.Header{}
	if stream {
		header = framework.Upgrade()
	} else if method == http.MethodPut {
		header.Set("Content-Length", "0")
	}
	for name, values := range more {
		header[name] = values
	}
	return e.Raw(config, framework.RawRequest{Method: method, Path: path, Header: header})
}

// scene is a machine with people who may not touch it, and one who may.
type scene struct {
	*framework.Environment
	machine string
	users   map[string]*rest.Config
	owner   *rest.Config
}

func newScene(t *testing.T) *scene {
	e := framework.New(t)
	e.Create(framework.Minimal("my-vs"))
	s := &scene{Environment: e, machine: e.WaitSettled("my-vs", v1beta1.StatusRunning).Status.VM.Name}
	elsewhere := *e
	elsewhere.Namespace = e.CreateNamespace("elsewhere-")
	s.users = map[string]*rest.Config{
		"viewer":                     e.UserInRole("viewer", "view").Config,
		"admin of another namespace": elsewhere.UserInRole("stranger", "admin").Config,
		"nobody":                     e.Plane.AnonymousConfig(),
	}
	s.owner = e.UserInRole("owner", "edit").Config
	return s
}

// unharmed says that the machine is as it was, which no refusal may change.
func (s *scene) unharmed(t *testing.T, before *v1beta1.VirtualServer) {
	t.Helper()
	after := s.Get("my-vs")
	assert.Equal(t, before.Status.VM, after.Status.VM)
	assert.Equal(t, before.Status.PrintableStatus, after.Status.PrintableStatus)
	assert.Equal(t, before.Status.Operations, after.Status.Operations)
	assert.Nil(t, after.Status.PendingOperation)
}

func TestNobodyElseReachesTheMachine(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	before := s.WaitSettled("my-vs", v1beta1.StatusRunning)
	for user, config := range s.users {
		for door, config := range doors(s.Environment, config) {
			for _, access := range accesses(s.Namespace, "my-vs", s.machine) {
				response, body := send(s.Environment, config, access.method, access.path, access.stream, nil)
				if user == "viewer" && access.viewer {
					assert.Equal(t, http.StatusOK, response.StatusCode, "%s, %s: %s %s\n%s", user, door, access.method, access.path, body)
					continue
				}
				assert.Contains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, response.StatusCode,
					"%s, %s: %s %s\n%s", user, door, access.method, access.path, body)
				assert.NotContains(t, body, "managed-virtualserver-not", "no text of another machine")
			}
		}
	}
	s.unharmed(t, before)
}

// A refusal does not tell which names exist.
func TestARefusalDoesNotTellWhatExists(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for user, config := range s.users {
		there := accesses(s.Namespace, "my-vs", s.machine)
		absent := accesses(s.Namespace, "no-vs", "managed-virtualserver-00000")
		for i := range there {
			if user == "viewer" && there[i].viewer {
				continue
			}
			one, _ := send(s.Environment, config, there[i].method, there[i].path, there[i].stream, nil)
			other, _ := send(s.Environment, config, absent[i].method, absent[i].path, absent[i].stream, nil)
			assert.Equal(t, one.StatusCode, other.StatusCode, "%s: %s %s", user, absent[i].method, absent[i].path)
		}
	}
}

// tricks are ways to write the path of the victim's console so that one reader of it may see the user's own namespace and
// another the victim's.
func tricks(own, victim string) []string {
	prefix, vmi := framework.KubeVirtPrefix, func(namespace, name, tail string) string {
		return framework.KubeVirtPrefix + kubeVirtPath(namespace, "virtualmachineinstances", name, tail)
	}
	direct := framework.Path(own)
	return []string{
		// Dot segments, plain and encoded.
		vmi(own, "../../../"+victim+"/virtualmachineinstances/my-vs", "console"),
		vmi(own, "mine/../../../"+victim+"/virtualmachineinstances/my-vs", "console"),
		vmi(own+"/../"+victim, "my-vs", "console"),
		vmi("./"+victim, "my-vs", "console"),
		vmi(own, "%2e%2e/%2e%2e/"+victim+"/virtualmachineinstances/my-vs", "console"),
		vmi(own, "mine", "..%2f..%2f..%2f"+victim+"%2fvirtualmachineinstances%2fmy-vs%2fconsole"),
		vmi(own, "mine", "portforward/22/tcp/../../../../../"+victim+"/virtualmachineinstances/my-vs/console"),
		direct + "/mine/../../../" + victim + "/virtualservers/my-vs/console",
		direct + "/mine/console/../../../../" + victim + "/virtualservers/my-vs/console",
		direct + "/..%2f..%2f" + victim + "%2fvirtualservers%2fmy-vs/console",
		direct + "/mine/portforward/22/../../../../" + victim + "/virtualservers/my-vs/console",
		prefix + "/../namespaces/" + victim + "/virtualservers/my-vs/console",
		prefix + "/%2e%2e/namespaces/" + victim + "/virtualservers/my-vs/console",
		// Encoded slashes, once and twice.
		vmi(own+"%2f..%2f"+victim, "my-vs", "console"),
		vmi(own, "mine%2fconsole%2f..%2f..%2f..%2f"+victim+"%2fvirtualmachineinstances%2fmy-vs", "console"),
		vmi(victim+"%2fvirtualmachineinstances%2fmy-vs", "mine", "console"),
		vmi(victim, "my-vs%2fconsole", "console"), vmi(victim, "my-vs", "%63onsole"), vmi(victim, "my-vs", "con%73ole"),
		vmi(own, "mine%252f..%252f..%252f"+victim, "console"),
		prefix + "%2fapis%2fsubresources.kubevirt.io%2fv1%2fnamespaces%2f" + victim + "%2fvirtualmachineinstances%2fmy-vs%2fconsole",
		strings.Replace(vmi(victim, "my-vs", "console"), "/kubevirt/", "/kubevirt%2f", 1),
		// Doubled slashes.
		vmi(victim+"/", "my-vs", "console"), vmi(victim, "/my-vs", "console"), vmi(victim, "my-vs/", "console"),
		prefix + "/" + kubeVirtPath(victim, "virtualmachineinstances", "my-vs", "console"),
		"/" + vmi(victim, "my-vs", "console"), "//" + strings.TrimPrefix(framework.Path(victim), "/") + "/my-vs/console",
		framework.Path(victim) + "//my-vs/console", framework.Path(victim) + "/my-vs//console",
		// Upper case.
		strings.Replace(vmi(victim, "my-vs", "console"), "kubevirt/apis", "KubeVirt/apis", 1),
		strings.Replace(vmi(victim, "my-vs", "console"), "/apis/subresources", "/APIS/subresources", 1),
		vmi(victim, "my-vs", "Console"), vmi(strings.ToUpper(victim), "my-vs", "console"),
		strings.Replace(vmi(victim, "my-vs", "console"), "/namespaces/", "/Namespaces/", 1),
		strings.ToUpper(framework.Path(victim)) + "/MY-VS/CONSOLE",
		// The other namespace in the tail, or once more.
		vmi(own, "mine", "console/namespaces/"+victim+"/virtualmachineinstances/my-vs/console"),
		vmi(own, "mine", "portforward/22/tcp/"+victim),
		vmi(own+"/namespaces/"+victim, "my-vs", "console"),
		direct + "/mine/console/namespaces/" + victim + "/virtualservers/my-vs/console",
		direct + "/mine/portforward/namespaces/" + victim + "/virtualservers/my-vs/console",
		// The query and what looks like one.
		vmi(own, "mine", "console?namespace="+victim+"&name=my-vs"), vmi(own, "mine", "console%3fnamespace="+victim),
		vmi(victim, "my-vs", "console;own="+own), vmi(victim, "my-vs", "console%00"), vmi(victim, "my-vs", "console%0d%0aHost:x"),
		// The prefix in the prefix, and KubeVirt's and the core's other paths through it.
		prefix + vmi(victim, "my-vs", "console"),
		prefix + "/apis/kubevirt.io/v1/namespaces/" + victim + "/virtualmachines",
		prefix + "/apis/kubevirt.io/v1/virtualmachines",
		prefix + "/api/v1/namespaces/" + victim + "/secrets", prefix + "/api/v1/secrets",
		prefix + "/api/v1/namespaces/" + victim + "/persistentvolumeclaims",
		// An absolute form, whose host is not ours.
		"https://elsewhere.example.com" + vmi(victim, "my-vs", "console"),
	}
}

// A user with every right in a namespace of their own reaches nothing in another one, however the path is written. No answer is
// a redirect, which a client would follow with its token.
func TestTricksWithThePathLeadNowhere(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	before := s.WaitSettled("my-vs", v1beta1.StatusRunning)
	attacker := *s.Environment
	attacker.Namespace = s.CreateNamespace("attacker-")
	attacker.Create(framework.Minimal("mine", framework.WithStrategy(v1beta1.RunStrategyHalted)))
	config := attacker.UserInRole("attacker", "admin").Config
	for door, config := range doors(s.Environment, config) {
		for _, path := range tricks(attacker.Namespace, s.Namespace) {
			for _, stream := range []bool{true, false} {
				response, body := send(s.Environment, config, http.MethodGet, path, stream, nil)
				assert.GreaterOrEqual(t, response.StatusCode, http.StatusBadRequest, "%s: %s\n%s", door, path, body)
				assert.Less(t, response.StatusCode, http.StatusInternalServerError, "%s: %s\n%s", door, path, body)
				assert.Empty(t, response.Header.Get("Location"), path)
			}
		}
	}
	s.unharmed(t, before)
	assert.Empty(t, s.sessions(t), "nobody was ever connected")
}

// Headers by which a proxy or an administrator may speak for others are worth nothing in the hands of a user.
func TestForgedIdentitiesAreWorthNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	before := s.WaitSettled("my-vs", v1beta1.StatusRunning)
	admin := "system:serviceaccount:" + s.Namespace + ":owner"
	forged := []http.Header{
		{"X-Remote-User": {admin}, "X-Remote-Group": {"system:masters"}},
		{"X-Remote-User": {"system:admin"}, "X-Remote-Group": {"system:masters", "system:authenticated"}, "X-Remote-Uid": {"1"}, "X-Remote-Extra-Scopes": {"all"}},
		{"x-remote-user": {admin}, "x-remote-group": {"system:masters"}},
		{"Impersonate-User": {admin}},
		{"Impersonate-User": {"system:admin"}, "Impersonate-Group": {"system:masters"}},
		{"Impersonate-User": {admin}, "Impersonate-Extra-Scopes": {"all"}, "Impersonate-Uid": {"1"}},
		{"X-Forwarded-User": {admin}, "X-Forwarded-For": {"127.0.0.1"}, "X-Http-Method-Override": {"POST"}},
	}
	for user, config := range s.users {
		for door, config := range doors(s.Environment, config) {
			for _, header := range forged {
				for _, access := range accesses(s.Namespace, "my-vs", s.machine) {
					if access.viewer || strings.Contains(access.path, "portforward/53") {
						continue
					}
					response, body := send(s.Environment, config, access.method, access.path, access.stream, header)
					assert.Contains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, response.StatusCode,
						"%s, %s: %s %s with %v\n%s", user, door, access.method, access.path, header, body)
				}
			}
		}
	}
	s.unharmed(t, before)
}

// The same table lets the owner in: it is the user that is refused above, not the path.
func TestTheOwnerReachesTheMachine(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for door, config := range doors(s.Environment, s.owner) {
		for _, access := range accesses(s.Namespace, "my-vs", s.machine) {
			if !access.stream {
				continue
			}
			response, body := send(s.Environment, config, access.method, access.path, true, nil)
			assert.Equal(t, http.StatusSwitchingProtocols, response.StatusCode, "%s: %s\n%s", door, access.path, body)
		}
	}
}

// A user whose right is bound to one name reaches that VirtualServer by both of its names, and no other.
func TestARightToOneNameIsARightToOneMachine(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.Create(framework.Minimal("other"))
	other := s.WaitSettled("other", v1beta1.StatusRunning).Status.VM.Name
	user := s.UserWith("one", rbacv1.PolicyRule{APIGroups: []string{"tensorstack.dev"}, Resources: []string{"virtualservers/console"},
		ResourceNames: []string{"my-vs"}, Verbs: []string{"get", "create"}})
	path := func(name string) string {
		return framework.KubeVirtPrefix + kubeVirtPath(s.Namespace, "virtualmachineinstances", name, "console")
	}
	for name, want := range map[string]int{
		"my-vs": http.StatusSwitchingProtocols, "other": http.StatusForbidden, other: http.StatusForbidden,
		// The right is to the name my-vs; the machine's own name is another.
		s.machine: http.StatusForbidden,
	} {
		response, body := send(s.Environment, user.Config, http.MethodGet, path(name), true, nil)
		assert.Equal(t, want, response.StatusCode, "%s: %s", name, body)
	}
}
