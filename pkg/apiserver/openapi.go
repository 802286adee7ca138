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
	"tensorstack.dev/virtualserver/pkg/openapi"
	"tensorstack.dev/virtualserver/pkg/version"
)

// SetOpenAPI describes the API in OpenAPI v2 and v3. Both must be set before the options are applied: without v3 a group
// cannot be installed, and v2 is what older clients read.
func SetOpenAPI(config *genericapiserver.Config) {
	namer := openapinamer.NewDefinitionNamer(scheme.Scheme)
	v2 := genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	v2.GetDefinitionName = func(name string) (string, spec.Extensions) { return definitionName(namer, name) }
	v2.Info.Title, v2.Info.Version = "VirtualServer", v1beta1.SchemeGroupVersion.Version

	v3 := genericapiserver.DefaultOpenAPIV3Config(definitions, namer)
	v3.GetDefinitionName = v2.GetDefinitionName
	v3.Definitions = definitions(func(name string) spec.Ref {
		friendly, _ := definitionName(namer, name)
		return spec.MustCreateRef("#/components/schemas/" + common.EscapeJsonPointer(friendly))
	})
	// The one place where clients find the version of the product behind the aggregator, which passes no /version on.
	v3.Info.Title, v3.Info.Version = "VirtualServer", version.Get().Version

	config.OpenAPIConfig, config.OpenAPIV3Config = v2, v3
}

// definitions are the models of the API. A type of ours that is part of an object has no description of its own: "kubectl explain" shows
// that of the field and that of its type one after the other, and they say the same.
func definitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	own := strings.TrimSuffix(v1beta1.VirtualServer{}.OpenAPIModelName(), "VirtualServer")
	models := openapi.Definitions(ref)
	for name, model := range models {
		if _, isObject := model.Schema.Properties["kind"]; !isObject && strings.HasPrefix(name, own) {
			model.Schema.Description = ""
			models[name] = model
		}
	}
	return models
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

// HideSharedDocuments takes back what every API server publishes of itself beside its groups. kube-apiserver puts the
// documents of all servers into one index by their paths, and asks any server that has a path for its document. Where
// several have it, it often asks another than the one in the index, which answers with a redirect that kube-apiserver
// refuses. The server must be prepared to run.
func HideSharedDocuments(server *genericapiserver.GenericAPIServer) {
	for _, path := range []string{"apis", "version"} {
		server.OpenAPIV3VersionedService.DeleteGroupVersion(path)
	}
}
