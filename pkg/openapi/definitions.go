// Package openapi describes the API as it is served, which differs in a few fields from what the types of CDI say.
package openapi

import (
	"slices"

	"k8s.io/kube-openapi/pkg/common"

	"tensorstack.dev/virtualserver/pkg/generated/openapi"
)

// Definitions returns the description of every type of the API. In CDI, the namespace of a source is required; here, the
// VirtualServer's own is the default, and clients that check a manifest by its description must not refuse it.
func Definitions(reference common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	definitions := openapi.GetOpenAPIDefinitions(reference)
	for name, kind := range map[string]string{
		cdiModels + "DataVolumeSourcePVC":      "PersistentVolumeClaim",
		cdiModels + "DataVolumeSourceSnapshot": "VolumeSnapshot",
	} {
		definition := definitions[name]
		definition.Schema.Required = slices.DeleteFunc(slices.Clone(definition.Schema.Required), func(field string) bool { return field == namespace })
		property := definition.Schema.Properties[namespace]
		property.Description = "The namespace of the " + kind + "; the VirtualServer's own if it is left out"
		definition.Schema.Properties[namespace] = property
		definitions[name] = definition
	}
	return definitions
}

const (
	// namespace is the field.
	namespace = "namespace"
	// cdiModels is how the names of CDI's models begin.
	cdiModels = "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1."
)
