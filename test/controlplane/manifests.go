package controlplane

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Kinds that the launcher treats in a way of their own.
const (
	kindNamespace  = "Namespace"
	kindCRD        = "CustomResourceDefinition"
	kindService    = "Service"
	kindAPIService = "APIService"
	kindValidating = "ValidatingWebhookConfiguration"
	kindMutating   = "MutatingWebhookConfiguration"
)

// decodeManifests reads a stream of YAML documents. Lists are flattened, empty documents
// are dropped.
func decodeManifests(stream []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(stream), 64*1024)
	var objects []*unstructured.Unstructured
	for document := 1; ; document++ {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", document, err)
		}
		if len(object.Object) == 0 {
			continue
		}
		if object.GetKind() == "" || object.GetAPIVersion() == "" {
			return nil, fmt.Errorf("document %d has no kind or no apiVersion", document)
		}
		if !object.IsList() {
			objects = append(objects, object)
			continue
		}
		list, err := object.ToList()
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", document, err)
		}
		for i := range list.Items {
			objects = append(objects, &list.Items[i])
		}
	}
}

// readManifestFolder reads every .yaml file of a folder and its subfolders in the order
// of the names. The files of kustomize describe other files and are left out.
func readManifestFolder(folder string) ([]*unstructured.Unstructured, error) {
	var files []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == ".yaml" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no manifests in %s", folder)
	}
	var objects []*unstructured.Unstructured
	for _, file := range files {
		stream, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		found, err := decodeManifests(stream)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, object := range found {
			if !strings.HasPrefix(object.GetAPIVersion(), "kustomize.config.k8s.io/") {
				objects = append(objects, object)
			}
		}
	}
	return objects, nil
}

// applyOrder says what must exist first. Kinds that are not named come in the middle.
func applyOrder(kind string) int {
	order := []string{
		kindNamespace, kindCRD, "PriorityClass", "ServiceAccount", "ClusterRole", "Role",
		"ClusterRoleBinding", "RoleBinding", "StorageClass", "Secret", "ConfigMap", kindService,
	}
	last := []string{kindMutating, kindValidating, kindAPIService}
	if i := slices.Index(order, kind); i >= 0 {
		return i
	}
	if i := slices.Index(last, kind); i >= 0 {
		return len(order) + 1 + i
	}
	return len(order)
}

// sortForApply orders objects so that each comes after what it needs. Objects of the same
// kind keep their order.
func sortForApply(objects []*unstructured.Unstructured) {
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int {
		return applyOrder(a.GetKind()) - applyOrder(b.GetKind())
	})
}

// splitRegistrations separates the objects that make kube-apiserver call a server
// (webhooks and APIServices) from the rest. They are applied once that server is ready:
// kube-apiserver tries an unavailable APIService again only after seconds.
func splitRegistrations(objects []*unstructured.Unstructured) (rest, registrations []*unstructured.Unstructured) {
	for _, object := range objects {
		switch object.GetKind() {
		case kindValidating, kindMutating, kindAPIService:
			registrations = append(registrations, object)
		default:
			rest = append(rest, object)
		}
	}
	return rest, registrations
}

// endpoint is where a Service of the cluster really listens.
type endpoint struct {
	port int
	// caPEM verifies its certificate.
	caPEM []byte
}

// redirect makes webhooks and APIServices that name a Service reach it on the loopback
// interface: the Service is of type ExternalName, for which kube-apiserver takes the port
// from the reference. endpoints are by namespace/name.
func redirect(objects []*unstructured.Unstructured, endpoints map[string]endpoint) error {
	for _, object := range objects {
		switch object.GetKind() {
		case kindAPIService:
			spec, _, err := unstructured.NestedMap(object.Object, "spec")
			if err != nil {
				return fmt.Errorf("APIService %s: %w", object.GetName(), err)
			}
			if err := redirectClient(spec, endpoints); err != nil {
				return fmt.Errorf("APIService %s: %w", object.GetName(), err)
			}
			// The shipped manifest may leave verification to be set up; here it is.
			delete(spec, "insecureSkipTLSVerify")
			object.Object["spec"] = spec
		case kindValidating, kindMutating:
			webhooks, _, err := unstructured.NestedSlice(object.Object, "webhooks")
			if err != nil {
				return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
			}
			for _, webhook := range webhooks {
				fields, ok := webhook.(map[string]any)
				if !ok {
					return fmt.Errorf("%s %s: a webhook is not an object", object.GetKind(), object.GetName())
				}
				client, _ := fields["clientConfig"].(map[string]any)
				if err := redirectClient(client, endpoints); err != nil {
					return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
				}
			}
			object.Object["webhooks"] = webhooks
		}
	}
	return nil
}

// redirectClient changes the service reference and caBundle in a webhook's clientConfig
// or an APIService's spec.
func redirectClient(client map[string]any, endpoints map[string]endpoint) error {
	service, ok := client["service"].(map[string]any)
	if !ok {
		return nil
	}
	key := fmt.Sprintf("%v/%v", service["namespace"], service["name"])
	target, ok := endpoints[key]
	if !ok {
		return fmt.Errorf("nothing runs for the Service %s", key)
	}
	service["port"] = int64(target.port)
	client["caBundle"] = encodeBase64(target.caPEM)
	return nil
}
