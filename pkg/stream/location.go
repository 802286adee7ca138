package stream

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
)

// Resource is one of the two KubeVirt resources that have subresources. A VirtualMachine and its VirtualMachineInstance
// have the same name.
type Resource string

const (
	// VirtualMachines is the machine as it is defined.
	VirtualMachines Resource = "virtualmachines"
	// VirtualMachineInstances is the machine while it runs.
	VirtualMachineInstances Resource = "virtualmachineinstances"
)

// subresourceAPI is where KubeVirt serves its subresources; client-go of KubeVirt always asks for v1.
// Source: kubevirt pkg/virt-api/api.go.
const subresourceAPI = "/apis/subresources.kubevirt.io/v1"

// objectAPI is where kube-apiserver serves the custom resources of KubeVirt.
const objectAPI = "/apis/kubevirt.io/v1"

// machineLocation is the URL of a machine, or of a subresource of it, below an API. base is the URL of kube-apiserver and
// may have a path. Every part is checked, because it becomes part of a path that we ask for with our own rights.
func machineLocation(base *url.URL, api, namespace string, resource Resource, name string, subresource ...string) (*url.URL, error) {
	if problems := utilvalidation.IsDNS1123Label(namespace); len(problems) > 0 {
		return nil, fmt.Errorf("namespace %q is not valid: %s", namespace, strings.Join(problems, ", "))
	}
	if problems := validation.NameIsDNSSubdomain(name, false); len(problems) > 0 {
		return nil, fmt.Errorf("machine name %q is not valid: %s", name, strings.Join(problems, ", "))
	}
	if resource != VirtualMachines && resource != VirtualMachineInstances {
		return nil, fmt.Errorf("%q is not a resource of KubeVirt that has subresources", resource)
	}
	for _, part := range subresource {
		if !isSubresource(part) {
			return nil, fmt.Errorf("%q is not the name of a subresource", part)
		}
	}
	location := &url.URL{Scheme: base.Scheme, Host: base.Host}
	location.Path = path.Join(append([]string{"/", base.Path, api, "namespaces", namespace, string(resource), name}, subresource...)...)
	return location, nil
}

// isSubresource accepts lower-case letters, digits and dashes: every subresource of KubeVirt and every port.
func isSubresource(part string) bool {
	if part == "" {
		return false
	}
	for _, r := range part {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return true
}

// target is a stream of one machine, as KubeVirt knows it.
type target struct {
	namespace string
	vm        string
	kind      Kind
	port      Port
	query     url.Values
}

// location is where KubeVirt serves the stream.
func (t target) location(base *url.URL) (*url.URL, error) {
	parts := []string{string(t.kind)}
	if t.kind == PortForward {
		parts = append(parts, fmt.Sprint(t.port.Number), t.port.Protocol)
	}
	location, err := machineLocation(base, subresourceAPI, t.namespace, VirtualMachineInstances, t.vm, parts...)
	if err != nil {
		return nil, err
	}
	location.RawQuery = t.query.Encode()
	return location, nil
}
