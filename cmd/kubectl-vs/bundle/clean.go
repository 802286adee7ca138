// Package bundle gathers what somebody needs who is to find out what is wrong with a cluster, and leaves out what nobody may see.
package bundle

import (
	"regexp"
	"strings"

	"tensorstack.dev/virtualserver/pkg/status"
)

// leftOut stands for what was left out.
const leftOut = "(left out)"

// telling are the annotations that are kept: those whose owner is known to write no secrets. Others may hold anything, such as the
// whole object as it was last applied.
var telling = regexp.MustCompile(`^([a-z0-9.-]+\.)?(tensorstack\.dev|kubevirt\.io|kubernetes\.io)/`)

// lastApplied is the one annotation of a known owner that holds a whole object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// secretive are the names of fields whose strings are secret by their meaning, in any kind of object.
var secretive = regexp.MustCompile(`(?i)^(cloudInit|userData(Base64)?|networkData(Base64)?|password|passphrase|.*token|accessKey(Id)?|secretKey|` +
	`privateKey|sshKeys?|(secret)?extraHeaders|data|stringData|binaryData|caBundle|productKey|env)$`)

// assigned finds a secret that is given a value in the middle of a text: as a flag, in a header, in a file.
var assigned = regexp.MustCompile(`(?i)((?:password|passwd|passphrase|token|secret|api[-_]?key|authorization|chpasswd)["']?\s*[:=]\s*)("[^"]*"|'[^']*'|(?:bearer |basic )?[^\s,;"'}]+)`)

// bearer finds a token by its form.
var bearer = regexp.MustCompile(`\b(?i:bearer|basic) [A-Za-z0-9._~+/=-]{8,}|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`)

// keys finds private keys.
var keys = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)`)

// Text returns a text without the secrets that can be told by their form: in URLs, as values of what is called a password or a
// token, tokens, and private keys.
func Text(text string) string {
	text = keys.ReplaceAllString(status.Redact(text), leftOut)
	text = assigned.ReplaceAllString(text, "${1}"+leftOut)
	return bearer.ReplaceAllString(text, leftOut)
}

// Object returns a copy of an object as JSON has it, without secrets.
func Object(object map[string]any) map[string]any {
	return cleanMap(object, "")
}

func cleanMap(object map[string]any, parent string) map[string]any {
	cleaned := map[string]any{}
	for key, value := range object {
		switch {
		case key == "managedFields":
		case parent == "annotations":
			if text, ok := value.(string); ok && key != lastApplied && telling.MatchString(key) {
				cleaned[key] = Text(text)
			} else {
				cleaned[key] = leftOut
			}
		case secretive.MatchString(key) && !isReference(value):
			cleaned[key] = leftOut
		default:
			cleaned[key] = clean(value, key)
		}
	}
	return cleaned
}

// isReference says whether a value only names what is secret, as secretKeyRef does.
func isReference(value any) bool {
	reference, ok := value.(map[string]any)
	if !ok {
		return false
	}
	for key := range reference {
		switch strings.ToLower(key) {
		case "name", "namespace", "key", "optional":
		default:
			return false
		}
	}
	return true
}

func clean(value any, key string) any {
	switch typed := value.(type) {
	case map[string]any:
		return cleanMap(typed, key)
	case []any:
		cleaned := make([]any, len(typed))
		for i := range typed {
			cleaned[i] = clean(typed[i], key)
		}
		return cleaned
	case string:
		return Text(typed)
	default:
		return value
	}
}
