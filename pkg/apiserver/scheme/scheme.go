// Package scheme holds the scheme of the API server and what encodes and decodes its objects.
package scheme

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/install"
)

var (
	// Scheme knows every type that the server serves.
	Scheme = runtime.NewScheme()
	// Codecs encodes and decodes the types of Scheme. Lists are written item by item, which keeps the memory that a
	// large list needs small.
	Codecs = serializer.NewCodecFactory(Scheme, serializer.WithStreamingCollectionEncodingToJSON())
	// ParameterCodec decodes query parameters into option types.
	ParameterCodec = runtime.NewParameterCodec(Scheme)
)

func init() {
	install.Install(Scheme)
	// The generic server needs its own types in the version "v1" and, for answers that belong to no group, unversioned.
	unversioned := schema.GroupVersion{Group: "", Version: "v1"}
	metav1.AddToGroupVersion(Scheme, unversioned)
	Scheme.AddUnversionedTypes(unversioned,
		&metav1.Status{},
		&metav1.APIVersions{},
		&metav1.APIGroupList{},
		&metav1.APIGroup{},
		&metav1.APIResourceList{},
	)
}
