package apiserver

import (
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apiserver/scheme"
	"tensorstack.dev/virtualserver/pkg/generated/openapi"
)

// SetOpenAPI describes the API in OpenAPI v2 and v3. Both must be set before the options are applied: without v3 a group
// cannot be installed, and v2 is what older clients read.
func SetOpenAPI(config *genericapiserver.Config) {
	namer := openapinamer.NewDefinitionNamer(scheme.Scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIConfig.Info.Title = "VirtualServer"
	config.OpenAPIConfig.Info.Version = v1beta1.SchemeGroupVersion.Version
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config.Info.Title = "VirtualServer"
	config.OpenAPIV3Config.Info.Version = v1beta1.SchemeGroupVersion.Version
}
