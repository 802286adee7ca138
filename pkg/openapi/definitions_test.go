package openapi_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"tensorstack.dev/virtualserver/pkg/openapi"
)

func TestTheNamespaceOfASourceIsOptional(t *testing.T) {
	definitions := openapi.Definitions(func(name string) spec.Ref { return spec.MustCreateRef("#" + name) })
	for _, name := range []string{"DataVolumeSourcePVC", "DataVolumeSourceSnapshot"} {
		definition, found := definitions["kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1."+name]
		if assert.True(t, found, name) {
			assert.Equal(t, []string{"name"}, definition.Schema.Required, name)
			assert.Contains(t, definition.Schema.Properties["namespace"].Description, "the VirtualServer's own")
		}
	}
}
