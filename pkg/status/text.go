package status

import (
	"regexp"
	"strings"
	"time"
)

// maxMessage is how long a message of somebody else may get, in bytes. Importers put whole stack traces there.
const maxMessage = 400

// OneLine makes one short line of a message of somebody else, without the secrets that a URL may carry.
func OneLine(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	message = Redact(message)
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "..."
	}
	return message
}

// Redact hides the user, the password and the query of every URL: signed URLs carry their secret in the query.
func Redact(message string) string {
	if !strings.Contains(message, "://") {
		return message
	}
	message = regexp.MustCompile(`://[^/\s"'@]+@`).ReplaceAllString(message, "://***@")
	return regexp.MustCompile(`(://[^\s"'?#]*)[?#][^\s"']*`).ReplaceAllString(message, "$1?***")
}

// timeText shows a time the same way everywhere.
func timeText(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format(time.RFC3339)
}

// sentence ends a text with a full stop.
func sentence(text string) string {
	if text == "" || strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}

// of names an object: its kind and its name.
func of(kind, name, text string) string { return kind + " " + name + ": " + text }

// joined joins the parts that are not empty.
func joined(separator string, parts ...string) string {
	var filled []string
	for _, part := range parts {
		if part != "" {
			filled = append(filled, part)
		}
	}
	return strings.Join(filled, separator)
}
