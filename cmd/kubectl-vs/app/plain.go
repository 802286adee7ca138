package app

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// plain makes one line of a text that somebody else wrote, without anything that a terminal would obey. The guest chooses the name of
// its system, and whoever may write events chooses their words.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, text)
}

// line writes one line of a table.
func line(table io.Writer, cells ...string) {
	safe := make([]string, len(cells))
	for i, cell := range cells {
		safe[i] = plain(cell)
	}
	fmt.Fprintln(table, strings.Join(safe, "\t"))
}

// unlessSaid is a text, or nothing if another one says it already. The state of a machine often is that of its operation.
func unlessSaid(already, text string) string {
	if text == "" || strings.Contains(already, strings.TrimRight(text, ".")) {
		return ""
	}
	return text
}

// joined joins the parts that are not empty.
func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), " ")
}
