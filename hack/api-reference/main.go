// Command api-reference prints docs/api-reference.md from the OpenAPI definitions, which are generated from the types.
package main

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/openapi"
)

// roots are the kinds that the reference starts from; the types that they use follow.
func roots() []string {
	return []string{
		v1beta1.VirtualServer{}.OpenAPIModelName(),
		v1beta1.HeldVirtualServer{}.OpenAPIModelName(),
		v1beta1.StartOptions{}.OpenAPIModelName(),
		v1beta1.StopOptions{}.OpenAPIModelName(),
		v1beta1.RestartOptions{}.OpenAPIModelName(),
		v1beta1.ConsoleOptions{}.OpenAPIModelName(),
		v1beta1.VNCOptions{}.OpenAPIModelName(),
		v1beta1.PortForwardOptions{}.OpenAPIModelName(),
		v1beta1.USBRedirOptions{}.OpenAPIModelName(),
	}
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	write(out)
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "api-reference:", err)
		os.Exit(1)
	}
}

func write(out *bufio.Writer) {
	definitions := openapi.Definitions(func(name string) spec.Ref { return spec.MustCreateRef("#" + name) })
	fmt.Fprintln(out, "# API reference: tensorstack.dev/v1beta1")
	fmt.Fprintln(out)
	fmt.Fprintln(out, "Generated from the types by `make generate`; do not edit. In a cluster, `kubectl explain virtualservers.spec` shows the same.")
	seen := map[string]bool{}
	queue := roots()
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		definition, known := definitions[name]
		if seen[name] || !known || foreign(name) {
			continue
		}
		seen[name] = true
		queue = append(queue, writeType(out, name, definition)...)
	}
}

// writeType writes one type as a table and returns the types that its fields use.
func writeType(out *bufio.Writer, name string, definition common.OpenAPIDefinition) []string {
	fmt.Fprintf(out, "\n## %s\n\n%s\n", short(name), oneLine(definition.Schema.Description))
	if len(definition.Schema.Properties) == 0 {
		return nil
	}
	required := map[string]bool{}
	for _, field := range definition.Schema.Required {
		required[field] = true
	}
	fmt.Fprint(out, "\n| field | type | meaning |\n|---|---|---|\n")
	var uses []string
	for _, field := range sortedFields(definition.Schema.Properties) {
		schema := definition.Schema.Properties[field]
		kind, used := typeOf(&schema)
		uses = append(uses, used...)
		mark := ""
		if required[field] {
			mark = " (required)"
		}
		fmt.Fprintf(out, "| `%s` | %s | %s%s |\n", field, kind, strings.ReplaceAll(oneLine(schema.Description), "|", `\|`), mark)
	}
	return uses
}

// typeOf names the type of a field for people, with the definitions that it refers to.
func typeOf(schema *spec.Schema) (string, []string) {
	if ref := strings.TrimPrefix(schema.Ref.String(), "#"); ref != "" {
		return link(ref), []string{ref}
	}
	for i := range schema.AllOf {
		if ref := strings.TrimPrefix(schema.AllOf[i].Ref.String(), "#"); ref != "" {
			return link(ref), []string{ref}
		}
	}
	switch {
	case schema.Items != nil && schema.Items.Schema != nil:
		kind, uses := typeOf(schema.Items.Schema)
		return "list of " + kind, uses
	case schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil:
		kind, uses := typeOf(schema.AdditionalProperties.Schema)
		return "map of " + kind, uses
	case len(schema.Enum) > 0:
		return "string (one of a list)", nil
	case len(schema.Type) > 0:
		return schema.Type[0], nil
	}
	return "any", nil
}

func link(name string) string {
	if foreign(name) {
		return short(name)
	}
	return fmt.Sprintf("[%s](#%s)", short(name), strings.ToLower(short(name)))
}

// foreign says whether a type is documented by Kubernetes.
func foreign(name string) bool {
	return strings.HasPrefix(name, "io.k8s.")
}

func short(name string) string {
	return name[strings.LastIndex(name, ".")+1:]
}

func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

func sortedFields(properties map[string]spec.Schema) []string {
	fields := make([]string, 0, len(properties))
	for field := range properties {
		fields = append(fields, field)
	}
	sort.Strings(fields)
	return fields
}
