package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/generated/openapi"
	"tensorstack.dev/virtualserver/test/controlplane"
)

// peerGroup is the API group of the peer.
const peerGroup = "peer.tensorstack.dev"

// newCustomResource creates a CustomResourceDefinition with the schema of VirtualServers and waits until it is served.
func newCustomResource(ctx context.Context, plane *controlplane.ControlPlane) (*resource, error) {
	definition, err := customResourceDefinition()
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(plane.AdminConfig())
	if err != nil {
		return nil, err
	}
	definitions := client.Resource(schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
	})
	if _, err := definitions.Create(ctx, definition, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	peer, err := newResource("CustomResourceDefinition", peerGroup, plane.AdminConfig())
	if err != nil {
		return nil, err
	}
	return peer, until(ctx, readyTimeout, func(ctx context.Context) error { return peer.List(ctx, fewNamespace) })
}

func customResourceDefinition() (*unstructured.Unstructured, error) {
	definitions := map[string]spec.Schema{}
	for name, definition := range openapi.GetOpenAPIDefinitions(func(name string) spec.Ref { return spec.MustCreateRef("#" + name) }) {
		definitions[name] = definition.Schema
	}
	root, err := structural(definitions, v1beta1.VirtualServer{}.OpenAPIModelName())
	if err != nil {
		return nil, err
	}
	properties, ok := root["properties"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the schema of VirtualServers has no properties")
	}
	properties["metadata"] = map[string]any{"type": "object"}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": "virtualservers." + peerGroup},
		"spec": map[string]any{
			"group": peerGroup,
			"scope": "Namespaced",
			"names": map[string]any{"plural": "virtualservers", "singular": "virtualserver", "kind": "VirtualServer", "listKind": "VirtualServerList"},
			"versions": []any{map[string]any{
				"name": "v1beta1", "served": true, "storage": true,
				"schema":       map[string]any{"openAPIV3Schema": root},
				"subresources": map[string]any{"status": map[string]any{}},
			}},
		},
	}}, nil
}

// structural writes a model without references, as a CustomResourceDefinition needs it
// (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema).
func structural(definitions map[string]spec.Schema, name string) (map[string]any, error) {
	definition, known := definitions[name]
	if !known {
		return nil, fmt.Errorf("model %q is unknown", name)
	}
	switch {
	case strings.HasSuffix(name, ".Quantity"), strings.HasSuffix(name, ".IntOrString"):
		return map[string]any{"x-kubernetes-int-or-string": true}, nil
	case strings.HasSuffix(name, ".RawExtension"):
		return map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}, nil
	}
	encoded, err := json.Marshal(definition)
	if err != nil {
		return nil, err
	}
	var node map[string]any
	if err := json.Unmarshal(encoded, &node); err != nil {
		return nil, err
	}
	return expand(definitions, node)
}

// expand replaces the references below a schema and drops what only OpenAPI documents have.
func expand(definitions map[string]spec.Schema, node map[string]any) (map[string]any, error) {
	if reference := referenceOf(node); reference != "" {
		target, err := structural(definitions, reference)
		if err != nil {
			return nil, err
		}
		for _, key := range []string{"description", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"} {
			if value, ok := node[key]; ok {
				target[key] = value
			}
		}
		return target, nil
	}
	for _, key := range []string{
		"x-kubernetes-group-version-kind", "x-kubernetes-unions", "x-kubernetes-patch-strategy", "x-kubernetes-patch-merge-key",
	} {
		delete(node, key)
	}
	// The generator gives every required field the zero value of its type as a default, which an enumeration may not have.
	if node["enum"] != nil && node["default"] == "" {
		delete(node, "default")
	}
	var err error
	if properties, ok := node["properties"].(map[string]any); ok {
		for name, property := range properties {
			if properties[name], err = expand(definitions, property.(map[string]any)); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if child, ok := node[key].(map[string]any); ok {
			if node[key], err = expand(definitions, child); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	return node, nil
}

// referenceOf returns the model that a schema refers to, itself or in an allOf that only adds a description or a default.
func referenceOf(node map[string]any) string {
	if reference, ok := node["$ref"].(string); ok {
		return strings.TrimPrefix(reference, "#")
	}
	if all, ok := node["allOf"].([]any); ok && len(all) == 1 {
		if only, ok := all[0].(map[string]any); ok {
			return referenceOf(only)
		}
	}
	return ""
}
