package status

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// maxMessage is how long a message of somebody else may get, in bytes. Importers put whole stack traces there.
const maxMessage = 400

// maxCondition is how long the message of a condition gets, in bytes. Kubernetes refuses a status with one of more than
// 32 KiB, and people read less.
const maxCondition = 4 << 10

// OneLine makes one short line of a message of somebody else, without the secrets that a URL may carry.
func OneLine(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	return cut(Redact(message), maxMessage)
}

// Bounded cuts a message to what a condition may have. It may be longer than OneLine's, and have several lines.
func Bounded(message string) string { return cut(message, maxCondition) }

func cut(message string, limit int) string {
	if len(message) <= limit {
		return message
	}
	return strings.ToValidUTF8(message[:limit], "") + "..."
}

// listed joins texts by "; " as far as they fit into a condition, and says how many are left out.
func listed(texts []string) string {
	const room = maxCondition - len("Restart the machine to apply: ") - len("; and 1000 more")
	length, fitting := 0, 0
	for _, text := range texts {
		if length += len(text) + len("; "); length > room && fitting > 0 {
			break
		}
		fitting++
	}
	message := strings.Join(texts[:fitting], "; ")
	if left := len(texts) - fitting; left > 0 {
		message += fmt.Sprintf("; and %d more", left)
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
