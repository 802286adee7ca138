// Package conformance runs the same client-side checks against VirtualServers and against a resource that is built into
// Kubernetes, and compares the outcomes. A difference is a failure unless it is listed with its reason.
package conformance

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"tensorstack.dev/virtualserver/test/framework"
)

// Subject is a resource under comparison.
type Subject struct {
	// Name is what the test calls it.
	Name string
	// Resource and Kind are its names in the API.
	Resource schema.GroupVersionResource
	Kind     string
	// New makes a valid object. It must not lead to anything that outlives the test.
	New func(name string) *unstructured.Unstructured
	// Field is a path to a string that every client may change, and BadPatch a patch that validation refuses.
	Field    []string
	BadPatch string

	client dynamic.ResourceInterface
	env    *framework.Environment
}

// subjects are ConfigMap, the built-in resource, and VirtualServer.
func subjects() []*Subject {
	return []*Subject{
		{
			Name:     "ConfigMap",
			Resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
			Kind:     "ConfigMap",
			New: func(name string) *unstructured.Unstructured {
				return object("v1", "ConfigMap", name, map[string]any{"data": map[string]any{"key": "one", "other": "same"}})
			},
			Field:    []string{"data", "key"},
			BadPatch: `{"data":{"not/a/key":"x"}}`,
		},
		{
			Name:     "VirtualServer",
			Resource: schema.GroupVersionResource{Group: "tensorstack.dev", Version: "v1beta1", Resource: "virtualservers"},
			Kind:     "VirtualServer",
			New: func(name string) *unstructured.Unstructured {
				return object("tensorstack.dev/v1beta1", "VirtualServer", name, map[string]any{"spec": map[string]any{
					"runStrategy": "Halted",
					"resources":   map[string]any{"cpu": map[string]any{"cores": int64(1), "model": "one"}, "memory": "1Gi"},
					"storage": map[string]any{"root": map[string]any{
						"pvc":    map[string]any{"size": "1Gi"},
						"source": map[string]any{"blank": map[string]any{}},
					}},
				}})
			},
			Field:    []string{"spec", "resources", "cpu", "model"},
			BadPatch: `{"spec":{"resources":{"memory":"-1Gi"}}}`,
		},
	}
}

func object(apiVersion, kind, name string, content map[string]any) *unstructured.Unstructured {
	made := &unstructured.Unstructured{Object: content}
	made.SetAPIVersion(apiVersion)
	made.SetKind(kind)
	made.SetName(name)
	return made
}

// outcome describes an error the way a client program sees it: by code and reason, not by text.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return "error that is no Status: " + err.Error()
	}
	text := fmt.Sprintf("%d %s", status.Status().Code, status.Status().Reason)
	if details := status.Status().Details; details != nil && len(details.Causes) > 0 {
		var causes []string
		for _, cause := range details.Causes {
			causes = append(causes, string(cause.Type))
		}
		text += " causes " + strings.Join(causes, ",")
	}
	return text
}
