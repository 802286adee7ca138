package app

import (
	"fmt"
	"io"
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
