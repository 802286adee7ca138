package guide

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/test/controlplane"
)

// Every test that docs/guide-coverage.md names for this package exists, and every test here is named there.
func TestCoverageNamesTheTests(t *testing.T) {
	root, err := controlplane.RepositoryRoot()
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs", "guide-coverage.md"))
	require.NoError(t, err)
	named := map[string]bool{}
	for _, match := range regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(page), -1) {
		named[match[1]] = true
	}
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	there := map[string]bool{}
	for _, file := range files {
		code, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(`(?m)^func (Test[A-Za-z]+)\(`).FindAllStringSubmatch(string(code), -1) {
			there[match[1]] = true
		}
	}
	delete(there, "TestCoverageNamesTheTests")
	assert.Equal(t, there, named)
}
