// Package cloudinit reads cloud-init user data, to warn of mistakes that would otherwise show only inside the guest.
package cloudinit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// MaxLintBytes is how much user data Parse reads. Longer data is rarely written by hand, and an API request should not
// wait for a parser.
const MaxLintBytes = 256 << 10

// configHeader is the first line of user data in YAML.
const configHeader = "#cloud-config"

// jinjaHeader is the first line of user data that is a template.
const jinjaHeader = "## template: jinja"

// otherHeaders are the first lines of other kinds of user data, in lower case. See
// https://cloudinit.readthedocs.io/en/latest/explanation/format.html. Longer ones come before what they begin with.
var otherHeaders = []string{
	"#!", "#include", "#cloud-config-archive", "#cloud-config-jsonp", "#cloud-boothook", "#part-handler", "#upstart-job",
	jinjaHeader, "content-type:", "mime-version:",
}

// UserData is user data that was read once, for as many questions as there are.
type UserData struct {
	// text has no blank lines and nothing invisible at its beginning. It is empty if the data is longer than MaxLintBytes.
	text string
	// invisible is the first invisible character before it, or 0.
	invisible rune
	// config and err are what parse made of text.
	config map[string]any
	err    error
}

// Parse reads user data of any kind. Data longer than MaxLintBytes is taken for empty.
func Parse(userData string) UserData {
	text := strings.TrimLeft(userData, " \t\r\n")
	if text == "" || len(userData) > MaxLintBytes {
		return UserData{}
	}
	text, invisible := withoutInvisible(text)
	u := UserData{text: text, invisible: invisible}
	if !isOther(text) {
		u.config, u.err = parse(text)
	}
	return u
}

// isOther says that the first line announces something else than YAML.
func isOther(text string) bool {
	lower := beginning(text)
	return slices.ContainsFunc(otherHeaders, func(header string) bool { return strings.HasPrefix(lower, header) })
}

// beginning returns enough of a text to tell its header, in lower case.
func beginning(text string) string { return strings.ToLower(text[:min(len(text), 64)]) }

// Lint returns what is probably wrong with user data, in one line each. It never returns a value from the data, which may
// be secret, only names of modules and positions.
func (u UserData) Lint() []string {
	var problems []string
	if u.invisible != 0 {
		problems = append(problems, invisibleProblem(u.invisible))
	}
	problems = append(problems, u.lint()...)
	if len(problems) > maxProblems {
		problems = append(problems[:maxProblems], fmt.Sprintf("and %d more problems", len(problems)-maxProblems))
	}
	return problems
}

// maxProblems is how many problems are told, of which the last is how many more there are.
const maxProblems = 10

func (u UserData) lint() []string {
	if u.text == "" {
		return nil
	}
	if isOther(u.text) {
		if problem := scriptProblem(u.text); problem != "" {
			return []string{problem}
		}
		return nil
	}
	lower, config, err := beginning(u.text), u.config, u.err
	if !strings.HasPrefix(lower, configHeader) {
		if err == nil && len(config) > 0 && len(unknownModules(config)) == 0 {
			return []string{"its first line must be " + configHeader + ", or the guest ignores all of it"}
		}
		if problem := foreignProblem(u.text); problem != "" {
			return []string{problem}
		}
		return []string{"its first line must say what it is, such as " + configHeader + " or #!/bin/sh, or the guest ignores all of it"}
	}
	if err != nil {
		return []string{"it is not the YAML that cloud-init reads, so the guest would ignore all of it: " + err.Error()}
	}
	return lintConfig(config)
}

// parse reads YAML. Its errors tell the line, in one line of text.
func parse(text string) (map[string]any, error) {
	config := map[string]any{}
	encoded, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s", oneLine(err.Error()))
	}
	if bytes.Equal(bytes.TrimSpace(encoded), []byte("null")) {
		return config, nil
	}
	if !bytes.HasPrefix(bytes.TrimSpace(encoded), []byte("{")) {
		return nil, fmt.Errorf("the top level must be modules with a colon, such as runcmd:")
	}
	if err := json.Unmarshal(encoded, &config); err != nil {
		return nil, fmt.Errorf("%s", oneLine(err.Error()))
	}
	return config, nil
}

func oneLine(message string) string {
	message = strings.TrimPrefix(message, "yaml: ")
	return strings.Join(strings.Fields(message), " ")
}

func lintConfig(config map[string]any) []string {
	var problems []string
	if len(config) == 0 {
		problems = append(problems, "it sets nothing")
	}
	if unknown := unknownModules(config); len(unknown) > 0 {
		problems = append(problems, fmt.Sprintf("cloud-init does not know %s at the top level and ignores it%s", quoted(unknown), meant(unknown, modules)))
	}
	for _, module := range slices.Sorted(maps.Keys(config)) {
		if _, isList := config[module].([]any); listModules[module] && !isList && config[module] != nil {
			problems = append(problems, fmt.Sprintf("%q must be a list: begin its lines with a dash", module))
		}
	}
	problems = append(problems, keyProblems(config)...)
	return append(problems, passwordProblems(config)...)
}

func unknownModules(config map[string]any) []string {
	var unknown []string
	for _, module := range slices.Sorted(maps.Keys(config)) {
		if !modules[module] && !strings.HasPrefix(module, "x-") && !strings.HasPrefix(module, ".") {
			unknown = append(unknown, module)
		}
	}
	return unknown
}

// quoted lists a few names in a form that fits into a header.
func quoted(names []string) string {
	const most = 5
	var out []string
	for _, name := range names[:min(len(names), most)] {
		if len(name) > 40 {
			name = strings.ToValidUTF8(name[:40], "") + "..."
		}
		out = append(out, fmt.Sprintf("%q", name))
	}
	if len(names) > most {
		out = append(out, fmt.Sprintf("and %d more", len(names)-most))
	}
	return strings.Join(out, ", ")
}
