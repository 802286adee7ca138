// Package docs runs the commands of the documentation, so that none of them is wrong.
package docs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/test/framework"
)

// pageTimeout is how long all commands of one page may take.
const pageTimeout = 15 * time.Minute

// Every block of a page that is marked bash is run, in order, in one shell, as a person at the root of the repository
// would after "make up". The pages use the namespace default and clean up after themselves, so they run one after another.
func TestCommandsOfTheDocumentation(t *testing.T) {
	e := framework.New(t)
	awaitNoOthers(e)
	pages, err := filepath.Glob(filepath.Join(e.Root(), "docs", "*.md"))
	require.NoError(t, err)
	pages = append([]string{filepath.Join(e.Root(), "README.md")}, pages...)
	commands := 0
	for _, page := range pages {
		// A twin has the same commands; hack/check-twins sees to that.
		if strings.HasSuffix(page, ".zh-CN.md") {
			continue
		}
		content, err := os.ReadFile(page)
		require.NoError(t, err)
		script := bashBlocks(string(content))
		if script == "" {
			continue
		}
		commands += strings.Count(script, "\n")
		t.Run(filepath.Base(page), func(t *testing.T) { runPage(t, e, script) })
	}
	require.Greater(t, commands, 20, "the documentation has commands")
}

// awaitNoOthers waits for the namespaces of other tests to be gone: a page on the whole cluster would tell of what is being deleted.
func awaitNoOthers(e *framework.Environment) {
	e.Within(pageTimeout, "namespaces of other tests are gone", func() error {
		if left := e.MustKubectl("get", "namespaces", "--field-selector=status.phase=Terminating", "-o", "name"); left != "" {
			return fmt.Errorf("being deleted: %s", strings.Join(strings.Fields(left), " "))
		}
		return nil
	})
}

func bashBlocks(page string) string {
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?ms)^```bash\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		script.WriteString(block[1])
	}
	return script.String()
}

func runPage(t *testing.T, e *framework.Environment, script string) {
	ctx, cancel := context.WithTimeout(t.Context(), pageTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-euxo", "pipefail", "-c", script)
	command.Dir = checkout(t, e)
	command.Env = append(os.Environ(), "HOME="+t.TempDir())
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// checkout is a folder that looks like the repository after "make up", with the control plane of this test.
func checkout(t *testing.T, e *framework.Environment) string {
	t.Helper()
	folder := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "_output"), 0o755))
	for link, target := range map[string]string{
		"artifacts":          filepath.Join(e.Root(), "artifacts"),
		"docs":               filepath.Join(e.Root(), "docs"),
		"hack":               filepath.Join(e.Root(), "hack"),
		"_output/bin":        filepath.Dir(e.Plane.Binary("kubectl")),
		"_output/kubeconfig": e.Plane.KubeconfigPath(),
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(folder, link)))
	}
	return folder
}
