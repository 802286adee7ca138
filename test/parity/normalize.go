package parity

import (
	"regexp"
	"slices"
	"strings"
)

// Normalizer replaces what differs from run to run. The zero value is ready for use.
type Normalizer struct {
	replaced []string
	nodes    []string
}

// Name has every occurrence of a name shown as the given word, such as NAMESPACE. Longer names must be given before names that
// they contain.
func (n *Normalizer) Name(name, as string) {
	if name != "" && !slices.Contains(n.replaced, name) {
		n.replaced = append(n.replaced, name, as)
	}
}

// Node shows every node as NODE: which one it is is chance.
func (n *Normalizer) Node(name string) string {
	if name == "" {
		return ""
	}
	if !slices.Contains(n.nodes, name) {
		n.nodes = append(n.nodes, name)
	}
	return "NODE"
}

// patterns are what is told by its form. The order matters: a time holds figures that look like other things.
func patterns() []struct {
	form *regexp.Regexp
	as   string
} {
	type pattern = struct {
		form *regexp.Regexp
		as   string
	}
	return []pattern{
		{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?`), "TIME"},
		{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UID"},
		{regexp.MustCompile(`https?://[^\s"',;)]+[^\s"',;).]`), "URL"},
		{regexp.MustCompile(`virt-launcher-MACHINE-[a-z0-9]+`), "LAUNCHER"},
		{regexp.MustCompile(`\bimporter-[A-Za-z0-9-]+`), "IMPORTER"},
		{regexp.MustCompile(`prime-UID(-scratch)?`), "HELPER-CLAIM"},
		{regexp.MustCompile(`\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b`), "ADDRESS"},
		{regexp.MustCompile(`\b\d+(\.\d+)?%`), "N%"},
		{regexp.MustCompile(`\b\d+ restarts?\b`), "N restarts"},
		{regexp.MustCompile(`\b\d+/\d+ nodes`), "N/N nodes"},
		// Whether an eviction is certain or likely goes by seconds, see package status of the product.
		{regexp.MustCompile(` This is judged by the times; it may also have shut down by itself at that moment\.`), ""},
		{regexp.MustCompile(`\bexit (code|status) \d+`), "exit code N"},
	}
}

// Text normalizes a message.
func (n *Normalizer) Text(text string) string {
	text = strings.NewReplacer(n.replaced...).Replace(text)
	for _, node := range n.nodes {
		text = regexp.MustCompile(`\b`+regexp.QuoteMeta(node)+`\b`).ReplaceAllString(text, "NODE")
	}
	for _, pattern := range patterns() {
		text = pattern.form.ReplaceAllString(text, pattern.as)
	}
	return strings.Join(strings.Fields(text), " ")
}
