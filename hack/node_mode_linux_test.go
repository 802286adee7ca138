// Package hack tests the scripts beside it that decide something.
package hack

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nobody is a user without rights.
const nobody = 65534

// nodeMode runs a copy of the script that the user may read, with only what is given in its environment.
func nodeMode(t *testing.T, user uint32, environment ...string) (stdout, stderr string, code int) {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(root, "hack"), 0o755))
	for dir := root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	for _, name := range []string{"node-mode.sh", "node-packages.sh"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(root, "hack", name), text, 0o755))
	}
	command := exec.Command(filepath.Join(root, "hack", "node-mode.sh"))
	command.Dir = root
	command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, environment...)
	if user != uint32(os.Geteuid()) {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	}
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	err := command.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return strings.TrimSpace(out.String()), strings.TrimSpace(problems.String()), command.ProcessState.ExitCode()
}

// Whoever has no rights gets simulated nodes with one line that says why, or an error if only real ones will do.
func TestNodeModeWithoutRights(t *testing.T) {
	user := uint32(nobody)
	if os.Geteuid() != 0 {
		user = uint32(os.Geteuid())
	}
	for name, tc := range map[string]struct {
		environment []string
		mode        string
		says        string
		code        int
	}{
		"nothing asked":         {nil, "simulated", "The node is simulated: a real one, on which guests boot, needs ", 0},
		"auto":                  {[]string{"NODE=auto"}, "simulated", "The node is simulated: a real one, on which guests boot, needs ", 0},
		"auto in CI":            {[]string{"NODE=auto", "CI=true"}, "simulated", "root", 0},
		"auto, packages wanted": {[]string{"INSTALL=1"}, "simulated", "root", 0},
		"simulated":             {[]string{"NODE=simulated"}, "simulated", "as NODE says", 0},
		"real":                  {[]string{"NODE=real"}, "", "node-mode: NODE=real needs ", 1},
		"real in CI":            {[]string{"NODE=real", "CI=true"}, "", "root", 1},
		"no such kind":          {[]string{"NODE=virtual"}, "", "NODE=virtual is none of real, simulated, auto", 2},
		"capitals":              {[]string{"NODE=Real"}, "", "NODE=Real is none of real, simulated, auto", 2},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := nodeMode(t, user, tc.environment...)
			assert.Equal(t, tc.mode, stdout)
			assert.Equal(t, tc.code, code, stderr)
			assert.Contains(t, stderr, tc.says)
			assert.Len(t, strings.Split(stderr, "\n"), 1, "one line, not %q", stderr)
		})
	}
}
