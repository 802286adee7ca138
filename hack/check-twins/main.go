// Command check-twins fails when a page and its Chinese twin do not have the same headings, lists, tables and commands, or
// when a page for users has no twin.
package main

import (
	"fmt"
	"os"
	"strings"
)

// pages are those that users read. Each has a twin, PAGE.zh-CN.md.
var pages = []string{"README.md", "docs/access.md", "docs/architecture.md", "docs/features.md", "docs/operations.md", "docs/status.md", "docs/streams.md"}

func main() {
	failed := false
	for _, page := range pages {
		if err := compare(page); err != nil {
			fmt.Fprintln(os.Stderr, err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// twinOf is the file of a page's Chinese twin.
func twinOf(page string) string { return strings.TrimSuffix(page, ".md") + ".zh-CN.md" }

func compare(page string) error {
	english, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	chinese, err := os.ReadFile(twinOf(page))
	if err != nil {
		return err
	}
	if found := difference(outline(english), outline(chinese)); found != "" {
		return fmt.Errorf("%s and %s differ in %s", page, twinOf(page), found)
	}
	return nil
}
