// Command models-schema prints the OpenAPI v2 models of the API, which applyconfiguration-gen needs.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"k8s.io/apimachinery/pkg/runtime"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/install"
	"tensorstack.dev/virtualserver/pkg/generated/openapi"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "models-schema:", err)
		os.Exit(1)
	}
}

func write() error {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	namer := openapinamer.NewDefinitionNamer(scheme)
	refs := func(name string) spec.Ref {
		friendly, _ := namer.GetDefinitionName(name)
		return spec.MustCreateRef("#/definitions/" + common.EscapeJsonPointer(friendly))
	}
	schemas := map[string]spec.Schema{}
	for name, definition := range openapi.GetOpenAPIDefinitions(refs) {
		friendly, extensions := namer.GetDefinitionName(name)
		schema := definition.Schema
		if v2, ok := schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok {
			schema = v2
		}
		for key, value := range extensions {
			schema.AddExtension(key, value)
		}
		schemas[friendly] = schema
	}
	return json.NewEncoder(os.Stdout).Encode(&spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Definitions: schemas,
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "VirtualServer", Version: "v1beta1"}},
		Swagger:     "2.0",
	}})
}
