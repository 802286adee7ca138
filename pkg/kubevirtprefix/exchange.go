package kubevirtprefix

import (
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/request"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/stream"
)

// exchange is one request below the prefix and its answer.
type exchange struct {
	gateway Gateway
	api     http.Handler
	writer  http.ResponseWriter
	request *http.Request
	found   target
}

func (e exchange) serve() {
	ctx := request.WithNamespace(e.request.Context(), e.found.namespace)
	var err error
	switch e.found.action {
	case actionGroup:
		writeDocument(e.writer, http.StatusOK, groupDocument())
	case actionVersion:
		err = e.version(ctx)
	case actionVolume:
		err = e.volume(ctx)
	case actionObject:
		err = e.object(ctx)
	default:
		err = e.subresource(ctx)
	}
	if err != nil {
		writeError(e.writer, err)
	}
}

// machine authorizes the user and finds the VirtualServer. The user is checked for the name that was asked for, so that nobody
// learns which names exist, and then for the name that it stands for.
func (e exchange) machine(ctx context.Context) (*tensorstack.VirtualServer, error) {
	verb := "update"
	if e.found.method == http.MethodGet {
		verb = "get"
	}
	if err := e.gateway.Authorize(ctx, verb, e.found.namespace, e.found.name, e.found.subresource); err != nil {
		return nil, err
	}
	server, err := e.gateway.Resolve(ctx, e.found.namespace, e.found.name)
	if err != nil {
		return nil, err
	}
	if server.Name != e.found.name {
		err = e.gateway.Authorize(ctx, verb, server.Namespace, server.Name, e.found.subresource)
	}
	return server, err
}

// subresource hands the request to the subresource of the VirtualServer that it stands for.
func (e exchange) subresource(ctx context.Context) error {
	server, err := e.machine(ctx)
	if err != nil {
		return err
	}
	inner, err := e.translate(ctx, server)
	if err != nil {
		return err
	}
	if e.found.action == actionLifecycle {
		e.api.ServeHTTP(&acceptedWriter{ResponseWriter: e.writer}, inner)
		return nil
	}
	e.api.ServeHTTP(e.writer, inner)
	return nil
}

// object answers with the VirtualMachine or its instance under the name that was asked for, because virtctl goes on with the
// name that it reads here.
func (e exchange) object(ctx context.Context) error {
	server, err := e.machine(ctx)
	if err != nil {
		return err
	}
	object, err := e.gateway.ReadMachine(ctx, server, e.found.resource)
	if err != nil {
		return err
	}
	metadata, ok := object["metadata"].(map[string]any)
	if !ok {
		return apierrors.NewInternalError(errors.New("KubeVirt returned an object without metadata"))
	}
	metadata["name"] = e.found.name
	delete(metadata, "managedFields")
	writeDocument(e.writer, http.StatusOK, object)
	return nil
}

// volume tells whether a volume exists to a user who may add volumes to machines of that namespace. virtctl asks before it adds
// one and reads nothing from the answer, so nothing is in it.
func (e exchange) volume(ctx context.Context) error {
	if err := e.gateway.Authorize(ctx, "update", e.found.namespace, "", stream.AddVolume); err != nil {
		return err
	}
	exists, err := e.gateway.VolumeExists(ctx, e.found.volume, e.found.namespace, e.found.name)
	if err != nil {
		return err
	}
	if !exists {
		return apierrors.NewNotFound(e.found.volume.GroupResource(), e.found.name)
	}
	kind := "PersistentVolumeClaim"
	if e.found.volume.Group == dataVolumeGroup {
		kind = "DataVolume"
	}
	writeDocument(e.writer, http.StatusOK, metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: e.found.volume.GroupVersion().String(), Kind: kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: e.found.namespace, Name: e.found.name},
	})
	return nil
}

func (e exchange) version(ctx context.Context) error {
	version, err := e.gateway.ReadVersion(ctx)
	if err != nil {
		return err
	}
	writeDocument(e.writer, http.StatusOK, version)
	return nil
}

// groupDocument is the discovery of KubeVirt's group as far as virtctl reads it, to compare versions.
func groupDocument() metav1.APIGroup {
	version := func(name string) metav1.GroupVersionForDiscovery {
		return metav1.GroupVersionForDiscovery{GroupVersion: subresourceGroup + "/" + name, Version: name}
	}
	return metav1.APIGroup{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIGroup"},
		Name:     subresourceGroup, PreferredVersion: version("v1"),
		Versions: []metav1.GroupVersionForDiscovery{version("v1"), version("v1alpha3")},
	}
}
