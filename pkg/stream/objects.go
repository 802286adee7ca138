package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// Resolve finds the VirtualServer that has the name, or whose VirtualMachine has it. It does not authorize anybody.
func (g *Gateway) Resolve(ctx context.Context, namespace, name string) (*tensorstack.VirtualServer, error) {
	return g.machines.resolve(ctx, namespace, name)
}

// ReadMachine reads the VirtualMachine or VirtualMachineInstance of a VirtualServer with the server's own rights. The error for one
// that does not exist is a 404 that names the VirtualServer. It does not authorize anybody.
func (g *Gateway) ReadMachine(ctx context.Context, server *tensorstack.VirtualServer, resource Resource) (map[string]any, error) {
	absent := apierrors.NewNotFound(schema.GroupResource{Group: "kubevirt.io", Resource: string(resource)}, server.Name)
	if server.Status.VM.Name == "" {
		return nil, absent
	}
	location, err := machineLocation(g.backend.Base(), objectAPI, server.Namespace, resource, server.Status.VM.Name)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	object := map[string]any{}
	found, err := g.read(ctx, location, server, &object)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, absent
	}
	return object, nil
}

// ask asks KubeVirt about the machine of a stream whose connection ended. A stream that the guest can end is dropped by KubeVirt
// as it is when KubeVirt's own API server dies, so that has to answer, too. One of several that died is not seen by this.
func (g *Gateway) ask(ctx context.Context, kind Kind, opened *tensorstack.VirtualServer) opinion {
	said := g.askMachine(ctx, opened)
	if said.verdict != runs || !kind.endedByGuest() {
		return said
	}
	if _, err := g.readVersion(ctx); err != nil {
		return opinion{}
	}
	return said
}

// askMachine reads the instance to see whether the run that a stream was opened to has ended, or ends now.
func (g *Gateway) askMachine(ctx context.Context, opened *tensorstack.VirtualServer) opinion {
	stop := opinion{stopped, closing(CloseMachineStopped, "the machine %s stopped", opened.Name)}
	object, err := g.ReadMachine(ctx, opened, VirtualMachineInstances)
	if apierrors.IsNotFound(err) {
		return stop
	}
	if err != nil {
		return opinion{}
	}
	instance := unstructured.Unstructured{Object: object}
	phase, _, _ := unstructured.NestedString(object, "status", "phase")
	switch {
	case opened.Status.VM.InstanceUID != "" && instance.GetUID() != opened.Status.VM.InstanceUID:
		return opinion{stopped, closing(CloseMachineStopped, "the machine %s restarted; connect again", opened.Name)}
	case instance.GetDeletionTimestamp() != nil, phase == string(kubevirtv1.Succeeded), phase == string(kubevirtv1.Failed):
		return stop
	}
	return opinion{verdict: runs}
}

// VolumeExists says whether a DataVolume or a PersistentVolumeClaim exists, with the server's own rights. It does not authorize anybody.
func (g *Gateway) VolumeExists(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (bool, error) {
	if len(utilvalidation.IsDNS1123Label(namespace)) > 0 || len(validation.NameIsDNSSubdomain(name, false)) > 0 {
		return false, apierrors.NewBadRequest(fmt.Sprintf("%q in namespace %q is not the name of a volume", name, namespace))
	}
	api := path.Join("/apis", resource.Group, resource.Version)
	if resource.Group == "" {
		api = path.Join("/api", resource.Version)
	}
	return g.read(ctx, g.below(api, "namespaces", namespace, resource.Resource, name), &tensorstack.VirtualServer{}, nil)
}

func (g *Gateway) below(api string, parts ...string) *url.URL {
	base := g.backend.Base()
	return &url.URL{Scheme: base.Scheme, Host: base.Host, Path: path.Join(append([]string{"/", base.Path, api}, parts...)...)}
}

// read gets a JSON document, or false for a 404. into may be nil.
func (g *Gateway) read(ctx context.Context, location *url.URL, server *tensorstack.VirtualServer, into *map[string]any) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	response, err := g.backend.request(ctx, http.MethodGet, location, nil, "application/json")
	if err != nil {
		return false, unreachable(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponseBody))
	if err != nil {
		return false, unavailable("the answer of kube-apiserver was cut short: " + err.Error())
	}
	switch {
	case response.StatusCode == http.StatusNotFound:
		return false, nil
	case response.StatusCode != http.StatusOK:
		return false, answer{code: response.StatusCode, contentType: response.Header.Get("Content-Type"), body: body}.refusal(server)
	case into == nil:
		return true, nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return false, apierrors.NewInternalError(fmt.Errorf("the answer of kube-apiserver is not JSON: %w", err))
	}
	return true, nil
}
