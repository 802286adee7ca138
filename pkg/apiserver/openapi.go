package apiserver

import (
	"strings"

	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apiserver/scheme"
	"tensorstack.dev/virtualserver/pkg/generated/openapi"
)

// SetOpenAPI describes the API in OpenAPI v2 and v3. Both must be set before the options are applied: without v3 a group
// cannot be installed, and v2 is what older clients read.
func SetOpenAPI(config *genericapiserver.Config) {
	namer := openapinamer.NewDefinitionNamer(scheme.Scheme)
	v2 := genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, namer)
	v2.GetDefinitionName = func(name string) (string, spec.Extensions) { return definitionName(namer, name) }
	v2.Info.Title, v2.Info.Version = "VirtualServer", v1beta1.SchemeGroupVersion.Version

	v3 := genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, namer)
	v3.GetDefinitionName = v2.GetDefinitionName
	v3.Definitions = openapi.GetOpenAPIDefinitions(func(name string) spec.Ref {
		friendly, _ := definitionName(namer, name)
		return spec.MustCreateRef("#/components/schemas/" + common.EscapeJsonPointer(friendly))
	})
	v3.Info.Title, v3.Info.Version = "VirtualServer", v1beta1.SchemeGroupVersion.Version

	config.OpenAPIConfig, config.OpenAPIV3Config = v2, v3
}

// definitionName names a model. The models of CDI come with the path of their Go package as a name. A slash in a name makes
// the whole document unreadable for many clients, the aggregated one of the cluster included
// (https://github.com/cozystack/cozystack/issues/3582).
func definitionName(namer *openapinamer.DefinitionNamer, name string) (string, spec.Extensions) {
	friendly, extensions := namer.GetDefinitionName(name)
	if strings.Contains(name, "/") {
		friendly = util.ToRESTFriendlyName(name)
	}
	return friendly, extensions
}
