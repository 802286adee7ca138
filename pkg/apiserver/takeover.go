package apiserver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// CheckGroupIsFree fails if custom resources of our group and version are defined in the cluster. An APIService takes a
// whole group and version, so ours would hide them.
func CheckGroupIsFree(ctx context.Context, client dynamic.Interface) error {
	resource := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	list, err := client.Resource(resource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list CustomResourceDefinitions, to see whether %s is in use: %w", v1beta1.SchemeGroupVersion, err)
	}
	var hidden []string
	for i := range list.Items {
		if definesVersion(&list.Items[i], v1beta1.SchemeGroupVersion) {
			hidden = append(hidden, list.Items[i].GetName())
		}
	}
	if len(hidden) == 0 {
		return nil
	}
	slices.Sort(hidden)
	return fmt.Errorf("the cluster has CustomResourceDefinitions in %s, which the APIService of this server would hide: %s; "+
		"remove them or move them to another group, or start with --allow-existing-crds to hide them on purpose",
		v1beta1.SchemeGroupVersion, strings.Join(hidden, ", "))
}

// definesVersion says whether a CustomResourceDefinition serves the group and version.
func definesVersion(crd *unstructured.Unstructured, gv schema.GroupVersion) bool {
	if group, _, _ := unstructured.NestedString(crd.Object, "spec", "group"); group != gv.Group {
		return false
	}
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, version := range versions {
		fields, ok := version.(map[string]any)
		if ok && fields["name"] == gv.Version && fields["served"] == true {
			return true
		}
	}
	return false
}
