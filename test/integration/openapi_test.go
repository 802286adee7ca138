package integration

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/test/framework"
)

// walkReferences calls visit for every $ref below a node of a document.
func walkReferences(node any, visit func(reference string)) {
	switch node := node.(type) {
	case map[string]any:
		for key, value := range node {
			// A property may be called $ref too; then its value is a schema.
			if text, isText := value.(string); key == "$ref" && isText {
				visit(text)
				continue
			}
			walkReferences(value, visit)
		}
	case []any:
		for _, value := range node {
			walkReferences(value, visit)
		}
	}
}

// resolve follows a reference within its document, as RFC 6901 says.
func resolve(document any, reference string) bool {
	pointer, local := strings.CutPrefix(reference, "#/")
	if !local {
		return false
	}
	node := document
	for _, token := range strings.Split(pointer, "/") {
		object, isObject := node.(map[string]any)
		if !isObject {
			return false
		}
		found := false
		if node, found = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(token)]; !found {
			return false
		}
	}
	return true
}

// dangling returns the references of a document that lead nowhere, and how many it has.
func dangling(document any) (broken []string, count int) {
	found := map[string]bool{}
	walkReferences(document, func(reference string) {
		count++
		if _, known := found[reference]; !known {
			found[reference] = resolve(document, reference)
		}
	})
	for _, reference := range slices.Sorted(maps.Keys(found)) {
		if !found[reference] {
			broken = append(broken, reference)
		}
	}
	return broken, count
}

func openAPI(e *framework.Environment, path string) map[string]any {
	e.T.Helper()
	raw, err := e.Kube.Discovery().RESTClient().Get().RequestURI(path).SetHeader("Accept", "application/json").DoRaw(e.Context)
	require.NoError(e.T, err, path)
	document := map[string]any{}
	require.NoError(e.T, json.Unmarshal(raw, &document), path)
	return document
}

// One reference that leads nowhere, or a name with a slash, makes the document of the whole cluster useless for clients.
func TestEveryReferenceOfOpenAPIResolves(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	t.Run("v2", func(t *testing.T) {
		document := openAPI(e, "/openapi/v2")
		broken, count := dangling(document)
		assert.Empty(t, broken)
		assert.Greater(t, count, 1000)
		definitions, _ := document["definitions"].(map[string]any)
		ours := 0
		for name := range definitions {
			assert.NotContains(t, name, "/")
			if strings.Contains(name, "tensorstack") {
				ours++
			}
		}
		assert.NotZero(t, ours, "the aggregated document has our definitions")
	})
	index := openAPI(e, "/openapi/v3")
	groups, _ := index["paths"].(map[string]any)
	require.Contains(t, groups, "apis/tensorstack.dev/v1beta1")
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		entry, _ := groups[group].(map[string]any)
		address, _ := entry["serverRelativeURL"].(string)
		require.NotEmpty(t, address, group)
		if group == "apis" || group == "version" {
			// kube-apiserver and the servers in it all have these, so the address in the index is often not that of the one which
			// answers, with a redirect. Without the hash there is none.
			address, _, _ = strings.Cut(address, "?")
		}
		document := openAPI(e, address)
		broken, count := dangling(document)
		if strings.HasPrefix(group, "apis/subresources.kubevirt.io/") {
			// KubeVirt publishes Swagger 2 with parameters that its operations share. kube-apiserver makes OpenAPI 3 of it, and
			// leaves those out.
			broken = slices.DeleteFunc(broken, func(reference string) bool { return strings.HasPrefix(reference, "#/components/parameters/") })
		}
		assert.Empty(t, broken, group)
		if group != "apis/tensorstack.dev/v1beta1" {
			continue
		}
		assert.NotZero(t, count)
		components, _ := document["components"].(map[string]any)
		schemas, _ := components["schemas"].(map[string]any)
		for name := range schemas {
			assert.NotContains(t, name, "/")
		}
		paths, _ := document["paths"].(map[string]any)
		for _, operation := range []string{"", "/status", "/start", "/stop", "/restart", "/console", "/vnc", "/pause"} {
			assert.Contains(t, paths, "/apis/tensorstack.dev/v1beta1/namespaces/{namespace}/virtualservers/{name}"+operation)
		}
	}
}
