package kubevirtprefix

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"

	"tensorstack.dev/virtualserver/pkg/stream"
)

const (
	vmis = Prefix + "/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/my-vs"
	vms  = Prefix + "/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachines/my-vs"
)

// TestPathsOfVirtctl lists what virtctl 1.7 sends for each of its commands.
func TestPathsOfVirtctl(t *testing.T) {
	for _, test := range []struct {
		command, method, path string
		action                action
		subresource           string
	}{
		{"start", "PUT", vms + "/start", actionLifecycle, "start"},
		{"stop", "PUT", vms + "/stop", actionLifecycle, "stop"},
		{"restart", "PUT", vms + "/restart", actionLifecycle, "restart"},
		{"pause vm", "GET", Prefix + "/apis/kubevirt.io/v1/namespaces/ns/virtualmachines/my-vs", actionObject, ""},
		{"pause vm", "PUT", vmis + "/pause", actionOperation, "pause"},
		{"unpause vmi", "PUT", vmis + "/unpause", actionOperation, "unpause"},
		{"console", "GET", vmis + "/console", actionStream, "console"},
		{"vnc", "GET", vmis + "/vnc", actionStream, "vnc"},
		{"vnc screenshot", "GET", vmis + "/vnc/screenshot", actionOperation, "vnc/screenshot"},
		{"usbredir", "GET", vmis + "/usbredir", actionStream, "usbredir"},
		{"ssh vm/my-vs", "GET", vms + "/portforward/22/tcp", actionStream, "portforward"},
		{"port-forward vmi/my-vs", "GET", vmis + "/portforward/53/udp", actionStream, "portforward"},
		{"guestosinfo", "GET", vmis + "/guestosinfo", actionOperation, "guestosinfo"},
		{"fslist", "GET", vmis + "/filesystemlist", actionOperation, "filesystemlist"},
		{"userlist", "GET", vmis + "/userlist", actionOperation, "userlist"},
		{"addvolume", "GET", Prefix + "/apis/cdi.kubevirt.io/v1beta1/namespaces/ns/datavolumes/disk", actionVolume, "addvolume"},
		{"addvolume", "GET", Prefix + "/api/v1/namespaces/ns/persistentvolumeclaims/disk", actionVolume, "addvolume"},
		{"addvolume", "PUT", vmis + "/addvolume", actionOperation, "addvolume"},
		{"addvolume --persist", "PUT", vms + "/addvolume", actionOperation, "addvolume"},
		{"removevolume", "PUT", vmis + "/removevolume", actionOperation, "removevolume"},
		{"soft-reboot", "PUT", vmis + "/softreboot", actionOperation, "softreboot"},
		{"reset", "PUT", vmis + "/reset", actionOperation, "reset"},
		{"memory-dump get", "PUT", vms + "/memorydump", actionOperation, "memorydump"},
		{"memory-dump remove", "PUT", vms + "/removememorydump", actionOperation, "removememorydump"},
		{"memory-dump get --create-claim", "GET", Prefix + "/apis/kubevirt.io/v1/namespaces/ns/virtualmachineinstances/my-vs", actionObject, ""},
		{"migrate", "PUT", vms + "/migrate", actionOperation, "migrate"},
		{"version", "GET", Prefix + "/apis/subresources.kubevirt.io", actionGroup, ""},
		{"version", "GET", Prefix + "/apis/subresources.kubevirt.io/v1/version", actionVersion, ""},
		{"an older client", "GET", Prefix + "/apis/subresources.kubevirt.io/v1alpha3/namespaces/ns/virtualmachineinstances/my-vs/console", actionStream, "console"},
	} {
		t.Run(test.command+" "+test.path, func(t *testing.T) {
			location, err := url.Parse(test.path)
			require.NoError(t, err)
			found, ok := parse(location)
			require.True(t, ok)
			assert.Equal(t, test.action, found.action)
			assert.Equal(t, test.method, found.method)
			assert.Equal(t, test.subresource, found.subresource)
			if test.action != actionGroup && test.action != actionVersion {
				assert.Equal(t, "ns", found.namespace)
			}
		})
	}
}

// hostilePaths are below the prefix, or look as if they were, and stand for nothing.
func hostilePaths() []string {
	return []string{
		Prefix,
		Prefix + "/",
		Prefix + "/apis",
		Prefix + "/api",
		Prefix + "/api/v1",
		Prefix + "/apis/",
		Prefix + "//apis/subresources.kubevirt.io",
		Prefix + "/nonsense",
		Prefix + "/apis/apps/v1/namespaces/ns/deployments/x",
		Prefix + "/api/v1/namespaces/ns/secrets/x",
		Prefix + "/api/v1/namespaces/ns/persistentvolumeclaims",
		Prefix + "/api/v1/persistentvolumeclaims/x",
		Prefix + "/apis/cdi.kubevirt.io/v1beta1/namespaces/ns/datavolumes/x/y",
		Prefix + "/apis/kubevirt.io/v1/namespaces/ns/virtualmachines",
		Prefix + "/apis/kubevirt.io/v1/namespaces/ns/virtualmachines/x/status",
		Prefix + "/apis/kubevirt.io/v1/virtualmachines/x",
		Prefix + "/apis/subresources.kubevirt.io/",
		Prefix + "/apis/subresources.kubevirt.io/v1",
		Prefix + "/apis/subresources.kubevirt.io/v2/version",
		vmis, vmis + "/", vms,
		// Subresources that KubeVirt has and we do not pass on, or has elsewhere.
		vmis + "/vsock", vmis + "/sev/setupsession", vmis + "/freeze", vmis + "/backup", vms + "/expand-spec", vms + "/console",
		vms + "/pause", vmis + "/start", vmis + "/migrate", vmis + "/evacuate/cancel", vms + "/objectgraph",
		// Tails.
		vmis + "/console/", vmis + "/console/x", vmis + "/vnc/screenshot/x", vmis + "/vnc/", vmis + "/portforward", vmis + "/portforward/",
		vmis + "/portforward/22/sctp", vmis + "/portforward/0", vmis + "/portforward/65536", vmis + "/portforward/22/tcp/x", vms + "/start/now",
		// Dot segments, encoded or not, and doubled slashes.
		vmis + "/../other/console", vmis + "/./console", vmis + "/%2e%2e/other/console", vmis + "/%2E/console", vmis + "//console",
		vmis + "/portforward/22/tcp/../../../../../../kube-system/virtualmachineinstances/x/console",
		Prefix + "/apis/subresources.kubevirt.io/v1/namespaces/ns/../kube-system/virtualmachineinstances/my-vs/console",
		Prefix + "/apis/subresources.kubevirt.io/v1/namespaces//virtualmachineinstances/my-vs/console",
		Prefix + "/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances//console",
		Prefix + "/../virtualservers",
		Prefix + "/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/my..vs/console",
		// Encoded slashes, doubly encoded ones, and characters that encode to themselves.
		Prefix + "/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/my-vs%2fconsole",
		Prefix + "/apis/subresources.kubevirt.io/v1/namespaces/ns%2Fvirtualmachineinstances/my-vs/console",
		vmis + "/portforward%2f22", vmis + "%252fconsole", vmis + "/%63onsole", Prefix + "%2fapis/subresources.kubevirt.io",
		vmis + "/console%00", vmis + "/console%0a", vmis + "/console;v=1", vmis + "/console%3fx", vmis + "\\console", vmis + "/con%20sole",
		// Upper case.
		Prefix + "/APIS/subresources.kubevirt.io", vmis + "/Console", Prefix + "/apis/subresources.kubevirt.io/V1/version",
		Prefix + "/apis/subresources.kubevirt.io/v1/namespaces/NS/virtualmachineinstances/my-vs/console",
		Prefix + "/apis/subresources.kubevirt.io/v1/Namespaces/ns/virtualmachineinstances/my-vs/console",
		// Names that are none.
		Prefix + "/apis/subresources.kubevirt.io/v1/namespaces/n.s/virtualmachineinstances/my-vs/console",
		Prefix + "/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/-my-vs/console",
		Prefix + "/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/my_vs/console",
		// The namespace once more.
		Prefix + "/apis/subresources.kubevirt.io/v1/namespaces/ns/namespaces/other/virtualmachineinstances/my-vs/console",
		Prefix + "/apis/subresources.kubevirt.io/v1/watch/namespaces/ns/virtualmachineinstances/my-vs/console",
		// The prefix in the prefix.
		Prefix + Prefix + "/apis/subresources.kubevirt.io",
	}
}

func TestHostilePathsStandForNothing(t *testing.T) {
	for _, path := range hostilePaths() {
		t.Run(path, func(t *testing.T) {
			location, err := url.ParseRequestURI(path)
			if err != nil {
				return // net/http refuses it before anybody reads it.
			}
			_, ok := parse(location)
			assert.False(t, ok)
		})
	}
}

func TestPathsBesideThePrefix(t *testing.T) {
	for _, path := range []string{"/apis/tensorstack.dev/v1beta1/kubevirtx/apis", "/apis/tensorstack.dev/v1beta1/KubeVirt/apis/x",
		"/apis/tensorstack.dev/v1beta1//kubevirt/apis", "/apis/tensorstack.dev/v1beta1/virtualservers", "/kubevirt/apis", ""} {
		assert.False(t, below(path), path)
	}
}

// TestWhatKubeAPIServerSees says which rule of RBAC lets a request through kube-apiserver, with its own parser.
func TestWhatKubeAPIServerSees(t *testing.T) {
	outer := &request.RequestInfoFactory{APIPrefixes: sets.NewString("apis", "api"), GrouplessAPIPrefixes: sets.NewString("api")}
	inner := RequestInfoResolver{Next: outer}
	for _, test := range []struct {
		method, path          string
		verb, name, resource  string
		namespace, seenName   string
		seenVerb, seenResouce string
	}{
		{"GET", vmis + "/console", "get", "apis", "kubevirt/subresources.kubevirt.io", "ns", "my-vs", "get", "virtualservers/console"},
		{"PUT", vms + "/stop", "update", "apis", "kubevirt/subresources.kubevirt.io", "ns", "my-vs", "update", "virtualservers/stop"},
		{"GET", vmis + "/portforward/22/tcp", "get", "apis", "kubevirt/subresources.kubevirt.io", "ns", "my-vs", "get", "virtualservers/portforward"},
		{"GET", vmis + "/vnc/screenshot", "get", "apis", "kubevirt/subresources.kubevirt.io", "ns", "my-vs", "get", "virtualservers/vnc/screenshot"},
		{"POST", vms + "/stop", "create", "apis", "kubevirt/subresources.kubevirt.io", "ns", "my-vs", "create", "virtualservers/stop"},
		{"GET", Prefix + "/apis/kubevirt.io/v1/namespaces/ns/virtualmachines/my-vs", "get", "apis", "kubevirt/kubevirt.io", "ns", "my-vs", "get", "virtualservers"},
		{"GET", Prefix + "/apis/cdi.kubevirt.io/v1beta1/namespaces/ns/datavolumes/d", "get", "apis", "kubevirt/cdi.kubevirt.io", "", "apis", "get", "kubevirt/cdi.kubevirt.io"},
		{"GET", Prefix + "/api/v1/namespaces/ns/persistentvolumeclaims/d", "get", "api", "kubevirt/v1", "", "api", "get", "kubevirt/v1"},
		{"GET", Prefix + "/apis/subresources.kubevirt.io", "get", "apis", "kubevirt/subresources.kubevirt.io", "", "apis", "get", "kubevirt/subresources.kubevirt.io"},
		{"GET", Prefix + "/apis/subresources.kubevirt.io/v1/version", "get", "apis", "kubevirt/subresources.kubevirt.io", "", "apis", "get", "kubevirt/subresources.kubevirt.io"},
		{"GET", vmis + "/../x/console", "get", "apis", "kubevirt/subresources.kubevirt.io", "", "apis", "get", "kubevirt/subresources.kubevirt.io"},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			info, err := outer.NewRequestInfo(httptest.NewRequest(test.method, test.path, nil))
			require.NoError(t, err)
			assert.Equal(t, []string{"tensorstack.dev", test.verb, "", test.resource, test.name},
				[]string{info.APIGroup, info.Verb, info.Namespace, info.Resource + "/" + info.Subresource, info.Name}, "as kube-apiserver sees it")

			info, err = inner.NewRequestInfo(httptest.NewRequest(test.method, test.path, nil))
			require.NoError(t, err)
			seen := info.Resource
			if info.Subresource != "" {
				seen += "/" + info.Subresource
			}
			assert.Equal(t, []string{"tensorstack.dev", test.seenVerb, test.namespace, test.seenResouce, test.seenName},
				[]string{info.APIGroup, info.Verb, info.Namespace, seen, info.Name}, "as our filters see it")
			assert.True(t, info.IsResourceRequest)
		})
	}
	other := httptest.NewRequest(http.MethodGet, "/apis/tensorstack.dev/v1beta1/namespaces/a/virtualservers/b/console", nil)
	want, err := outer.NewRequestInfo(other)
	require.NoError(t, err)
	got, err := inner.NewRequestInfo(other)
	require.NoError(t, err)
	assert.Equal(t, want, got, "everything else is left alone")
}

func FuzzParse(f *testing.F) {
	for _, path := range hostilePaths() {
		f.Add(path)
	}
	f.Add(vmis + "/console")
	f.Add(vms + "/portforward/22/tcp")
	f.Fuzz(func(t *testing.T, path string) {
		location, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		found, ok := parse(location)
		if !ok {
			return
		}
		// Whatever is accepted is written in one way only.
		assert.Equal(t, location.Path, location.EscapedPath())
		assert.NotContains(t, location.Path, "//")
		assert.NotContains(t, location.Path, "..")
		if found.action == actionStream {
			assert.Contains(t, stream.Kinds(), found.kind)
		}
	})
}
