package kubevirtprefix

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"

	rules "tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
	"tensorstack.dev/virtualserver/pkg/stream"
)

// Prefix is the path that is given to virtctl as part of its server.
const Prefix = "/apis/tensorstack.dev/v1beta1/kubevirt"

// Groups of the paths below the prefix.
const (
	subresourceGroup = "subresources.kubevirt.io"
	objectGroup      = "kubevirt.io"
	dataVolumeGroup  = "cdi.kubevirt.io"
)

// action is what a path stands for.
type action int

const (
	actionStream action = iota + 1
	actionOperation
	actionLifecycle
	actionObject
	actionVolume
	actionGroup
	actionVersion
)

// target is what a path below the prefix stands for.
type target struct {
	action action
	// method is the only HTTP method that the path has.
	method string
	// namespace and name are what the user wrote; name may be the VirtualServer's, the VirtualMachine's or a volume's.
	namespace, name string
	// resource is the resource of KubeVirt in the path.
	resource stream.Resource
	// subresource is the subresource of virtualservers that the user needs a right to.
	subresource string
	// kind and port are for actionStream.
	kind stream.Kind
	port stream.Port
	// operation is for actionOperation.
	operation stream.Operation
	// volume is for actionVolume.
	volume schema.GroupVersionResource
}

// below says whether a path belongs to this package.
func below(path string) bool {
	return path == Prefix || strings.HasPrefix(path, Prefix+"/")
}

// segmentPattern is what any part of a path that we serve looks like. It leaves out empty parts, dot segments, upper case,
// and whatever would need encoding.
var segmentPattern = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$`)

// parse reads a path below the prefix. It returns false for everything that it does not know exactly, and for every path
// that is not written in its plainest form: two readers of one path must never see two different objects in it.
func parse(location *url.URL) (target, bool) {
	if location.RawPath != "" || !below(location.Path) {
		return target{}, false
	}
	rest, ok := strings.CutPrefix(location.Path, Prefix+"/")
	if !ok {
		return target{}, false
	}
	parts := strings.Split(rest, "/")
	for _, part := range parts {
		if !segmentPattern.MatchString(part) || strings.Contains(part, "..") {
			return target{}, false
		}
	}
	switch {
	case parts[0] == "apis" && len(parts) > 1:
		return parseGroup(parts[1], parts[2:])
	case parts[0] == "api" && len(parts) > 1 && parts[1] == "v1":
		return parseVolume(schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}, parts[2:])
	default:
		return target{}, false
	}
}

func parseGroup(group string, parts []string) (target, bool) {
	switch {
	case group == subresourceGroup && len(parts) == 0:
		return target{action: actionGroup, method: http.MethodGet}, true
	case group == subresourceGroup && len(parts) == 2 && isKubeVirtVersion(parts[0]) && parts[1] == "version":
		return target{action: actionVersion, method: http.MethodGet}, true
	case group == subresourceGroup && len(parts) >= 6 && isKubeVirtVersion(parts[0]):
		found, ok := parseMachine(parts[1:5])
		if !ok {
			return target{}, false
		}
		return parseSubresource(found, parts[5:])
	case group == objectGroup && len(parts) == 5 && isKubeVirtVersion(parts[0]):
		found, ok := parseMachine(parts[1:])
		found.action, found.method = actionObject, http.MethodGet
		return found, ok
	case group == dataVolumeGroup && len(parts) > 0 && parts[0] == "v1beta1":
		return parseVolume(schema.GroupVersionResource{Group: group, Version: "v1beta1", Resource: "datavolumes"}, parts[1:])
	default:
		return target{}, false
	}
}

// isKubeVirtVersion knows the versions in which KubeVirt serves its API. Source: kubevirt.io/api/core/v1/register.go.
func isKubeVirtVersion(version string) bool {
	return version == "v1" || version == "v1alpha3"
}

// parseMachine reads namespaces/NAMESPACE/RESOURCE/NAME.
func parseMachine(parts []string) (target, bool) {
	resource := stream.Resource(parts[2])
	if parts[0] != "namespaces" || (resource != stream.VirtualMachines && resource != stream.VirtualMachineInstances) {
		return target{}, false
	}
	return target{namespace: parts[1], name: parts[3], resource: resource}, areNames(parts[1], parts[3])
}

// parseVolume reads namespaces/NAMESPACE/RESOURCE/NAME of a volume that virtctl looks for before it adds it to a machine.
func parseVolume(volume schema.GroupVersionResource, parts []string) (target, bool) {
	if len(parts) != 4 || parts[0] != "namespaces" || parts[2] != volume.Resource {
		return target{}, false
	}
	return target{
		action: actionVolume, method: http.MethodGet, namespace: parts[1], name: parts[3],
		subresource: stream.AddVolume, volume: volume,
	}, areNames(parts[1], parts[3])
}

func areNames(namespace, name string) bool {
	return len(utilvalidation.IsDNS1123Label(namespace)) == 0 && len(validation.NameIsDNSSubdomain(name, false)) == 0
}

// parseSubresource reads what follows the name of a machine.
func parseSubresource(found target, parts []string) (target, bool) {
	name := strings.Join(parts, "/")
	found.subresource = name
	switch {
	case parts[0] == string(stream.PortForward):
		number, protocol, err := rules.ForwardedPort(strings.Join(parts[1:], "/"))
		found.action, found.method = actionStream, http.MethodGet
		found.subresource, found.kind, found.port = parts[0], stream.PortForward, stream.Port{Number: int(number), Protocol: protocol}
		return found, err == nil
	case found.resource == stream.VirtualMachineInstances && slices.Contains(stream.LongRunningSubresources(), name):
		found.action, found.method, found.kind = actionStream, http.MethodGet, stream.Kind(name)
		return found, true
	case found.resource == stream.VirtualMachines && (name == "start" || name == "stop" || name == "restart"):
		found.action, found.method = actionLifecycle, http.MethodPut
		return found, true
	}
	operation, ok := stream.OperationNamed(name)
	if !ok || (operation.Resource != found.resource && !operation.AnyResource) {
		return target{}, false
	}
	found.action, found.method, found.operation = actionOperation, operation.Method(), operation
	return found, true
}
