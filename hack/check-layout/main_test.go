package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheckFile(t *testing.T) {
	long := "package naming\n" + strings.Repeat("\n", maxFileLines+1)
	for name, test := range map[string]struct {
		path, source, want string
	}{
		"a clean file passes":                        {path: "pkg/naming/a.go", source: "package naming\n"},
		"the registry may not import the controller": {path: "pkg/registry/a.go", source: "package a\nimport _ \"" + module + "pkg/controller\"\n", want: "must not know the controller"},
		"the controller may not import the registry": {path: "pkg/controller/a.go", source: "package a\nimport _ \"" + module + "pkg/registry/x\"\n", want: "must not know the registry"},
		"KubeVirt's client has one importer":         {path: "pkg/stream/a.go", source: "package a\nimport _ \"kubevirt.io/client-go/kubevirt\"\n", want: "only pkg/kubevirt"},
		"pkg/kubevirt may import it":                 {path: "pkg/kubevirt/a.go", source: "package a\nimport _ \"kubevirt.io/client-go/kubevirt\"\n"},
		"long files are refused":                     {path: "pkg/naming/a.go", source: long, want: "split the file"},
		"vague packages are refused":                 {path: "pkg/util/a.go", source: "package util\n", want: "named for nothing"},
		"exported functions need a comment":          {path: "pkg/a/a.go", source: "package a\nfunc A() {}\n", want: "exported function A"},
		"exported types need a comment":              {path: "pkg/a/a.go", source: "package a\ntype A struct{}\n", want: "exported A"},
	} {
		t.Run(name, func(t *testing.T) {
			problems, err := checkFile(test.path, []byte(test.source))
			require.NoError(t, err)
			if test.want == "" {
				assert.Empty(t, problems)
				return
			}
			require.NotEmpty(t, problems)
			assert.Contains(t, problems[0], test.want)
		})
	}
}
