// Package features keeps docs/features.md true: each row names tests, and each test that is named exists.
package features

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// namedTest is a test and the folder where the page says that it is.
type namedTest struct {
	folder, name string
}

var (
	quoted   = regexp.MustCompile("`([^`]+)`")
	declared = regexp.MustCompile(`(?m)^func (Test\w+|Fuzz\w+)\(`)
	testName = regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*$`)
)

// testsIn returns the tests that a text names. A folder, written in full or by its short name, holds for all names after it.
func testsIn(text, folder string, short map[string]string) []namedTest {
	var found []namedTest
	rest := text
	for {
		at := quoted.FindStringSubmatchIndex(rest)
		before, token := rest, ""
		if at != nil {
			before, token = rest[:at[0]], rest[at[2]:at[3]]
		}
		for _, word := range strings.Fields(before) {
			if named, known := short[strings.Trim(word, "().:;,")]; known {
				folder = named
			}
		}
		switch {
		case at == nil:
			return found
		case testName.MatchString(token):
			found = append(found, namedTest{folder: folder, name: token})
		case strings.HasPrefix(token, "pkg/"), strings.HasPrefix(token, "test/"), strings.HasPrefix(token, "cmd/"), strings.HasPrefix(token, "hack/"):
			folder = strings.TrimSuffix(token, "/")
		}
		rest = rest[at[1]:]
	}
}

func cells(row string) []string {
	parts := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// shortNames reads the table of folders at the top of the page.
func shortNames(page string) map[string]string {
	short := map[string]string{}
	for _, line := range strings.Split(page, "\n") {
		row := cells(line)
		if len(row) == 3 && len(row[0]) == 1 && strings.HasPrefix(row[1], "`") {
			short[row[0]] = strings.Trim(row[1], "`")
		}
	}
	return short
}

// review returns every test that the page names, and what is wrong with its tables.
func review(page string) (named []namedTest, problems []string) {
	short := shortNames(page)
	for _, block := range strings.Split(page, "\n\n") {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		if !strings.HasPrefix(lines[0], "|") {
			named = append(named, testsIn(strings.Join(lines, " "), "", short)...)
			continue
		}
		header := cells(lines[0])
		last := header[len(header)-1]
		if header[0] == "short" {
			continue
		}
		if !strings.HasPrefix(last, "tests") {
			problems = append(problems, "a table has no column for tests: "+lines[0])
			continue
		}
		folder := short[strings.Trim(strings.TrimPrefix(last, "tests"), " ()")]
		for _, line := range lines[2:] {
			row := cells(line)
			inRow := testsIn(row[len(row)-1], folder, short)
			if len(row) != len(header) || len(inRow) == 0 {
				problems = append(problems, "a row names no test: "+line)
			}
			named = append(named, inRow...)
		}
	}
	return named, problems
}

// testsOf returns the tests of a folder.
func testsOf(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(folder), "*_test.go"))
	require.NoError(t, err)
	found := map[string]bool{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range declared.FindAllStringSubmatch(string(content), -1) {
			found[match[1]] = true
		}
	}
	return found
}

func TestEveryFeatureNamesATestThatExists(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "features.md"))
	require.NoError(t, err)
	named, problems := review(string(content))
	assert.Empty(t, problems)
	assert.Greater(t, len(named), 50)
	folders := map[string]map[string]bool{}
	for _, test := range named {
		if !assert.NotEmpty(t, test.folder, "%s is named without its folder", test.name) {
			continue
		}
		if folders[test.folder] == nil {
			folders[test.folder] = testsOf(t, test.folder)
		}
		assert.True(t, folders[test.folder][test.name], "docs/features.md names %s, which is not in %s", test.name, test.folder)
	}
}

// A check that finds nothing would prove nothing.
func TestReviewFindsMistakes(t *testing.T) {
	const top = "| short | folder | what |\n|---|---|---|\n| T | `pkg/a` | x |\n\n"
	named, problems := review(top + "| feature | tests |\n|---|---|\n| a | T `TestA`, `TestB`; `pkg/b` `TestC` |\n\nSee T `TestD`.")
	assert.Empty(t, problems)
	assert.Equal(t, []namedTest{{"pkg/a", "TestA"}, {"pkg/a", "TestB"}, {"pkg/b", "TestC"}, {"pkg/a", "TestD"}}, named)
	named, _ = review(top + "| feature | tests (T) |\n|---|---|\n| a | `TestA` |\n")
	assert.Equal(t, []namedTest{{"pkg/a", "TestA"}}, named)
	_, problems = review(top + "| feature | tests |\n|---|---|\n| a | none |\n")
	assert.Len(t, problems, 1)
	_, problems = review(top + "| feature | how |\n|---|---|\n| a | T `TestA` |\n")
	assert.Len(t, problems, 1)
	named, _ = review("See `TestA`.")
	assert.Equal(t, []namedTest{{"", "TestA"}}, named)
}
