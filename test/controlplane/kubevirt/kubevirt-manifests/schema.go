package main

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// wide names the fields that hold any unsigned number of 32 bits. KubeVirt's
// schemas give them the format int32, which Kubernetes enforces from 1.36 on:
// every second value would be refused, and a machine whose disk has such a
// checksum never leaves Scheduled. The other unsigned fields count things and
// stay small.
func wide(field string) bool {
	return field == "checksum" || field == "VSOCKCID"
}

// widen gives the fields that wide names the format int64, in every version of
// a CRD.
func widen(crd *apiextensionsv1.CustomResourceDefinition) {
	for i := range crd.Spec.Versions {
		if schema := crd.Spec.Versions[i].Schema; schema != nil {
			widenProperties(schema.OpenAPIV3Schema)
		}
	}
}

func widenProperties(schema *apiextensionsv1.JSONSchemaProps) {
	if schema == nil {
		return
	}
	for name, property := range schema.Properties {
		if wide(name) && property.Type == "integer" && property.Format == "int32" {
			property.Format = "int64"
		}
		widenProperties(&property)
		schema.Properties[name] = property
	}
	if schema.Items != nil {
		widenProperties(schema.Items.Schema)
	}
	if schema.AdditionalProperties != nil {
		widenProperties(schema.AdditionalProperties.Schema)
	}
}
