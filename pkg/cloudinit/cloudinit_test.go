package cloudinit

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLint(t *testing.T) {
	tests := map[string]struct {
		data string
		want []string // a part of each warning
	}{
		"empty":                {"", nil},
		"the guide's example":  {"#cloud-config\nbootcmd:\n- mkdir -p /mnt/vdb\nmounts:\n- [ \"/dev/vdb\", \"/mnt/vdb\" ]\n", nil},
		"a script":             {"#!/bin/sh\necho 'a: [' \n", nil},
		"a MIME archive":       {"Content-Type: multipart/mixed; boundary=x\n", nil},
		"a template":           {"## template: jinja\n#cloud-config\nruncmd: {{ x }}\n", nil},
		"an archive":           {"#cloud-config-archive\n- type: text/plain\n", nil},
		"blank lines before":   {"\n\n#cloud-config\nuser: a\n", nil},
		"no header":            {"user: a\n", []string{"first line must be #cloud-config"}},
		"no header, no YAML":   {"hello", []string{"first line must say what it is"}},
		"not YAML":             {"#cloud-config\nuser: [a\n", []string{"not the YAML"}},
		"a tab":                {"#cloud-config\nuser:\n\ta: b\n", []string{"not the YAML"}},
		"a doubled module":     {"#cloud-config\nuser: a\nuser: b\n", []string{"not the YAML"}},
		"a list":               {"#cloud-config\n- a\n", []string{"the top level"}},
		"nothing":              {"#cloud-config\n", []string{"sets nothing"}},
		"an unknown module":    {"#cloud-config\nrun_cmd:\n- ls\n", []string{`does not know "run_cmd"`}},
		"many unknown modules": {"#cloud-config\na: 1\nb: 1\nc: 1\nd: 1\ne: 1\nf: 1\ng: 1\n", []string{"and 2 more"}},
		"runcmd without a dash": {"#cloud-config\nruncmd: ls\npackages: {a: b}\n", []string{
			`"packages" must be a list`, `"runcmd" must be a list`,
		}},
		"too long to read": {"x" + strings.Repeat(" ", MaxLintBytes), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Parse(test.data).Lint()
			require.Len(t, got, len(test.want), got)
			for i, part := range test.want {
				assert.Contains(t, got[i], part)
				assert.NotContains(t, got[i], "\n")
			}
		})
	}
}

func TestHoldsPassword(t *testing.T) {
	for data, want := range map[string]bool{
		"":                             false,
		"#cloud-config\nuser: a\n":     false,
		"#cloud-config\npassword: a\n": true,
		"password: a\n":                false, // the guest ignores it
		"#cloud-config\nchpasswd: {expire: False}\n":            false,
		"#cloud-config\nchpasswd: {list: 'a:b'}\n":              true,
		"#cloud-config\nusers: [{name: a, passwd: b}]\n":        true,
		"#cloud-config\nusers: [default, {name: a, groups: b}]": false,
		"#cloud-config\nusers: {a: [\n":                         false,
	} {
		assert.Equal(t, want, Parse(data).HoldsPassword(), data)
	}
}

func TestMountedFilesystems(t *testing.T) {
	for data, want := range map[string][]string{
		"": nil,
		"#cloud-config\nbootcmd:\n- \"sudo mount -t virtiofs config-fs /mnt/a\"\n- mount -t virtiofs -o ro other /b\n": {"config-fs", "other"},
		"#cloud-config\nmounts:\n- [tag, /mnt, virtiofs, defaults]\n- [/dev/vdb, /x, ext4]\n- bad\n":                   {"tag"},
		"#!/bin/sh\nmount -t virtiofs fs /mnt && mount -t virtiofs fs /other\n":                                        {"fs"},
		"#cloud-config\nbootcmd: [mount -t ext4 virtiofs /x]\n":                                                        nil,
	} {
		assert.Equal(t, want, Parse(data).MountedFilesystems(), data)
	}
}

func FuzzLint(f *testing.F) {
	for _, seed := range []string{
		"", "#cloud-config\n", "#cloud-config\nuser: a\nusers: [{passwd: x}]\n", "#cloud-config\na: &a [*a]\n", "#!/bin/sh\n",
		"#cloud-config\nmounts: [[a, b, virtiofs]]\n", "#cloud-config\n? [a]\n: b\n", "#cloud-config\n<<: 1\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		for _, warning := range Parse(data).Lint() {
			assert.NotContains(t, warning, "\n")
		}
		Parse(data).HoldsPassword()
		Parse(data).MountedFilesystems()
	})
}
