package stream

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
)

func TestStreamLocation(t *testing.T) {
	plain := &url.URL{Scheme: "https", Host: "10.0.0.1:443"}
	prefixed := &url.URL{Scheme: "https", Host: "proxy", Path: "/clusters/a/"}
	const vm = "managed-virtualserver-9dda9"
	for _, test := range []struct {
		name string
		base *url.URL
		to   target
		want string
		fail string
	}{
		{name: "console", base: plain, to: target{namespace: "ns", vm: vm, kind: Console},
			want: "https://10.0.0.1:443/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/" + vm + "/console"},
		{name: "vnc keeps its query", base: plain, to: target{namespace: "ns", vm: vm, kind: VNC, query: url.Values{"preserveSession": {"true"}}},
			want: "https://10.0.0.1:443/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/" + vm + "/vnc?preserveSession=true"},
		{name: "port", base: plain, to: target{namespace: "ns", vm: vm, kind: PortForward, port: Port{53, "udp"}},
			want: "https://10.0.0.1:443/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/" + vm + "/portforward/53/udp"},
		{name: "a base with a path", base: prefixed, to: target{namespace: "ns", vm: vm, kind: USBRedir},
			want: "https://proxy/clusters/a/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/" + vm + "/usbredir"},
		{name: "namespace with a slash", base: plain, to: target{namespace: "a/b", vm: vm, kind: Console}, fail: "namespace"},
		{name: "dots as namespace", base: plain, to: target{namespace: "..", vm: vm, kind: Console}, fail: "namespace"},
		{name: "dots as machine", base: plain, to: target{namespace: "ns", vm: "..", kind: Console}, fail: "machine name"},
		{name: "path as machine", base: plain, to: target{namespace: "ns", vm: "a/../../b", kind: Console}, fail: "machine name"},
		{name: "no machine", base: plain, to: target{namespace: "ns", kind: Console}, fail: "machine name"},
		{name: "port without a protocol", base: plain, to: target{namespace: "ns", vm: vm, kind: PortForward, port: Port{Number: 1}}, fail: "subresource"},
		{name: "dots as protocol", base: plain, to: target{namespace: "ns", vm: vm, kind: PortForward, port: Port{1, ".."}}, fail: "subresource"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.to.location(test.base)
			if test.fail != "" {
				assert.ErrorContains(t, err, test.fail)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, got.String())
		})
	}
}

func TestOperationLocations(t *testing.T) {
	base := &url.URL{Scheme: "https", Host: "h"}
	seen := map[string]bool{}
	for _, operation := range Operations() {
		location, err := machineLocation(base, subresourceAPI, "ns", operation.Resource, "vm", operation.Path...)
		require.NoError(t, err, operation.Name)
		assert.True(t, strings.HasSuffix(location.Path, "/vm/"+operation.Name), "%s has another name at KubeVirt: %s", operation.Name, location)
		assert.False(t, seen[operation.Name], "%s is listed twice", operation.Name)
		seen[operation.Name] = true
		found, ok := OperationNamed(operation.Name)
		assert.True(t, ok)
		assert.Equal(t, operation, found)
	}
	_, ok := OperationNamed("nonsense")
	assert.False(t, ok)
}

// FuzzForwardedPort shows that a port that is accepted leads to a location.
func FuzzForwardedPort(f *testing.F) {
	for _, seed := range []string{"22", "/22/udp", "22/../..", "%32", "１"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		number, protocol, err := validation.ForwardedPort(path)
		if err != nil {
			return
		}
		_, err = target{namespace: "ns", vm: "vm", kind: PortForward, port: Port{int(number), protocol}}.location(&url.URL{Scheme: "https", Host: "h"})
		assert.NoError(t, err, "a port that parses has a location: %q", path)
	})
}
