package apiserver

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/openapi"
	"k8s.io/kube-openapi/pkg/validation/spec"
	explain "k8s.io/kubectl/pkg/explain/v2"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Every field of every type of ours, as "kubectl explain" shows it: nothing is said twice, and something is said.
func TestExplainSaysEachDescriptionOnce(t *testing.T) {
	code, _, content := call(t, startServer(t), "GET", "/openapi/v3"+group, "", "Accept", "application/json")
	require.Equal(t, http.StatusOK, code)
	document := struct {
		Components struct {
			Schemas map[string]*spec.Schema `json:"schemas"`
		} `json:"components"`
	}{}
	require.NoError(t, json.Unmarshal(content, &document))
	models, root := document.Components.Schemas, v1beta1.VirtualServer{}.OpenAPIModelName()
	assert.NotEmpty(t, models[root].Description, "the object itself is described by its type")
	paths := append(fieldsBelow(models, root, nil), nil)
	require.Greater(t, len(paths), 100)
	for _, path := range paths {
		out := &bytes.Buffer{}
		resource := v1beta1.SchemeGroupVersion.WithResource("virtualservers")
		require.NoError(t, explain.PrintModelDescription(path, out, published{content}, resource, false, 0, "plaintext"))
		_, text, _ := strings.Cut(out.String(), "DESCRIPTION:")
		text, _, _ = strings.Cut(text, "\nFIELDS:")
		sentences := meanings(text)
		assert.NotEmpty(t, sentences, strings.Join(path, "."))
		slices.Sort(sentences)
		assert.Len(t, slices.Compact(slices.Clone(sentences)), len(sentences), "%s: %q", strings.Join(path, "."), sentences)
	}
}

// published is what a client sees of the document.
type published struct{ content []byte }

func (p published) Paths() (map[string]openapi.GroupVersion, error) {
	return map[string]openapi.GroupVersion{"apis/" + v1beta1.SchemeGroupVersion.String(): p}, nil
}

func (p published) Schema(string) ([]byte, error) { return p.content, nil }

func (p published) ServerRelativeURL() string { return "" }

// fieldsBelow are the paths of all fields of a model that are of a type of ours or of none.
func fieldsBelow(models map[string]*spec.Schema, model string, path []string) [][]string {
	var paths [][]string
	if models[model] == nil {
		return nil
	}
	for name, field := range models[model].Properties {
		here := append(slices.Clone(path), name)
		next := modelOf(&field)
		if next == "" || strings.HasPrefix(next, "dev.tensorstack.") {
			if len(path) > 0 || next != "" {
				paths = append(paths, here)
			}
			paths = append(paths, fieldsBelow(models, next, here)...)
		}
	}
	return paths
}

// modelOf is the model that a field refers to, directly, as an item or as one of all.
func modelOf(field *spec.Schema) string {
	if reference := field.Ref.String(); reference != "" {
		return reference[strings.LastIndex(reference, "/")+1:]
	}
	for i := range field.AllOf {
		return modelOf(&field.AllOf[i])
	}
	if field.Items != nil && field.Items.Schema != nil {
		return modelOf(field.Items.Schema)
	}
	return ""
}

// meanings are the sentences of a text, without the word that they begin with and the articles: "spec is the machine" and
// "VirtualServerSpec is a machine" say the same.
func meanings(text string) []string {
	var found []string
	for _, sentence := range regexp.MustCompile(`[.\n]\s`).Split(strings.Join(strings.Fields(text), " ")+" ", -1) {
		words := slices.DeleteFunc(strings.Fields(strings.ToLower(sentence)), func(word string) bool {
			return slices.Contains([]string{"a", "an", "the", "are", "is"}, word)
		})
		if len(words) > 1 {
			found = append(found, strings.Join(words[1:], " "))
		}
	}
	return found
}
