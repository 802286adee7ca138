package images

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// moduleSource returns the folder with the source of a module, as the nested module that builds its programs has it.
// The answer of the go command is remembered for as long as that module's go.mod stays the same, since asking takes
// longer than everything else in a run that has nothing to do.
func (w *Workspace) moduleSource(from moduleFile) (string, error) {
	build := filepath.Join(w.Source, from.build)
	requirements, err := os.ReadFile(filepath.Join(build, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("cannot find the source of %s: %w (is --source the root of the repository?)", from.module, err)
	}
	type answer struct{ Requirements, Dir string }
	remembered := w.path("stamps", "source-"+filepath.Base(from.module)+".json")
	var known answer
	if data, err := os.ReadFile(remembered); err == nil && json.Unmarshal(data, &known) == nil && known.Requirements == fingerprint(string(requirements)) {
		if _, err := os.Stat(filepath.Join(known.Dir, from.file)); err == nil {
			return known.Dir, nil
		}
	}
	dir, err := output("go", "-C", build, "list", "-m", "-f", "{{.Dir}}", from.module)
	if err != nil {
		return "", err
	}
	if dir == "" {
		return "", fmt.Errorf("the source of %s is not in the module cache; run 'go mod download %s' in %s", from.module, from.module, from.build)
	}
	data, err := json.Marshal(answer{fingerprint(string(requirements)), dir})
	if err != nil {
		return "", err
	}
	return dir, writeFile(remembered, data)
}
