package apiserver

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
)

func crd(name, group, version string, served bool) runtime.Object {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"group":    group,
			"versions": []any{map[string]any{"name": version, "served": served}},
		},
	}}
}

func TestServerDoesNotHideCustomResources(t *testing.T) {
	for _, test := range []struct {
		name    string
		crd     runtime.Object
		refused bool
	}{
		{"another group", crd("a.example.com", "example.com", "v1beta1", true), false},
		{"another version", crd("b.tensorstack.dev", "tensorstack.dev", "v1", true), false},
		{"not served", crd("c.tensorstack.dev", "tensorstack.dev", "v1beta1", false), false},
		{"our group and version", crd("tensorboards.tensorstack.dev", "tensorstack.dev", "v1beta1", true), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
				{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}: "CustomResourceDefinitionList",
			}, test.crd)
			err := CheckGroupIsFree(context.Background(), client)
			if !test.refused {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, "tensorboards.tensorstack.dev")
			assert.ErrorContains(t, err, "--allow-existing-crds")
		})
	}
}
