package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/russross/blackfriday/v2"
)

// outline is what a page and its translation have in common: one line for each heading, code block, list item and table row, in
// order, without its prose. Code in a heading or a row is kept, for names are not translated.
func outline(page []byte) []string {
	var lines []string
	tree := blackfriday.New(blackfriday.WithExtensions(blackfriday.CommonExtensions)).Parse(page)
	tree.Walk(func(node *blackfriday.Node, entering bool) blackfriday.WalkStatus {
		if !entering {
			return blackfriday.GoToNext
		}
		switch node.Type {
		case blackfriday.Heading:
			lines = append(lines, strings.TrimSpace(strings.Repeat("#", node.Level)+" "+code(node)))
			return blackfriday.SkipChildren
		case blackfriday.CodeBlock:
			lines = append(lines, fmt.Sprintf("code %s: %s", node.Info, withoutComments(string(node.Info), node.Literal)))
		case blackfriday.Item:
			lines = append(lines, "list item")
		case blackfriday.TableRow:
			lines = append(lines, fmt.Sprintf("table row of %d cells %s", cells(node), code(node)))
			return blackfriday.SkipChildren
		}
		return blackfriday.GoToNext
	})
	return lines
}

// code lists the code spans below a node, sorted: another language may need another order.
func code(node *blackfriday.Node) string {
	var spans []string
	node.Walk(func(child *blackfriday.Node, entering bool) blackfriday.WalkStatus {
		if entering && child.Type == blackfriday.Code {
			spans = append(spans, "`"+string(child.Literal)+"`")
		}
		return blackfriday.GoToNext
	})
	slices.Sort(spans)
	return strings.Join(spans, " ")
}

func cells(row *blackfriday.Node) (count int) {
	for cell := row.FirstChild; cell != nil; cell = cell.Next {
		count++
	}
	return count
}

// withoutComments is a block without the comments of a shell or of YAML, which are prose, and without drawings.
func withoutComments(language string, block []byte) string {
	if language == "" {
		return ""
	}
	var kept []string
	for line := range bytes.Lines(block) {
		text := strings.TrimRight(string(line), "\n")
		if at := strings.Index(" "+text, " # "); at >= 0 {
			text = text[:at]
		}
		kept = append(kept, strings.TrimRight(text, " "))
	}
	return strings.Join(kept, "\n")
}

// difference is the first place where two outlines part, or empty.
func difference(page, twin []string) string {
	for i := range max(len(page), len(twin)) {
		one, other := "the end", "the end"
		if i < len(page) {
			one = page[i]
		}
		if i < len(twin) {
			other = twin[i]
		}
		if one != other {
			return fmt.Sprintf("part %d: the page has\n%s\nand its twin\n%s", i+1, indent(one), indent(other))
		}
	}
	return ""
}

func indent(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }
