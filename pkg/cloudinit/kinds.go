package cloudinit

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// gzipMagic is how a gzip file begins.
var gzipMagic = []byte{0x1f, 0x8b}

// withoutInvisible returns a text without the invisible characters at its beginning, such as the byte order mark that some
// editors write, and the first of them. cloud-init strips white space only.
func withoutInvisible(text string) (string, rune) {
	var first rune
	for {
		r, size := utf8.DecodeRuneInString(text)
		if size == 0 || !unicode.Is(unicode.Cf, r) {
			return text, first
		}
		if first == 0 {
			first = r
		}
		text = strings.TrimLeft(text[size:], " \t\r\n")
	}
}

func invisibleProblem(first rune) string {
	const end = "and the guest ignores all of it: save it as UTF-8 without it"
	if first == '\ufeff' {
		return "it begins with a byte order mark, which is invisible, " + end
	}
	return fmt.Sprintf("it begins with the invisible character %U, %s", first, end)
}

// foreign is user data that other programs read and cloud-init does not.
type foreign struct {
	matches func(text string) bool
	problem string
}

var (
	ignition     = regexp.MustCompile(`^\{\s*(?s:.*)"ignition"\s*:`)
	butane       = regexp.MustCompile(`(?m)^variant:\s*["']?(fcos|flatcar|openshift|rhcos|r4e|fiot)\b`)
	talos        = regexp.MustCompile(`(?m)^version:\s*["']?v1alpha1\b`)
	talosPart    = regexp.MustCompile(`(?m)^(machine|cluster):`)
	talosSection = regexp.MustCompile(`(?m)^apiVersion:\s*["']?v1alpha1\b`)
	cloudbase    = regexp.MustCompile(`(?i)^(#ps1(_sysnative|_x86)?\b|rem cmd\b|<powershell>|<script>)`)
	powerShell   = regexp.MustCompile(`(?im)^\s*(add|copy|disable|enable|get|import|install|invoke|move|new|register|remove|rename|restart|set|start|stop|test|write)-[a-z]+\b`)
	psVariable   = regexp.MustCompile(`(?m)^\s*\$[A-Za-z_][A-Za-z0-9_:]*\s*=`)
	batch        = regexp.MustCompile(`(?i)^@?echo off\b|^::`)
	kickstart    = regexp.MustCompile(`(?m)^%(packages|post|pre|end)\b`)
	preseed      = regexp.MustCompile(`(?m)^d-i\s+\S+/`)
)

// foreigns come in the order in which they are tried.
func foreigns() []foreign {
	return []foreign{
		{ignition.MatchString, "it is an Ignition configuration, which cloud-init ignores: only an image with Ignition can read it, such as Fedora CoreOS " +
			"or Flatcar, and only a version that looks at NoCloud disks"},
		{butane.MatchString, "it is a Butane configuration, which no guest reads: let butane make an Ignition configuration of it"},
		{isTalos, "it is a machine configuration of Talos Linux: only an image of Talos reads it, and cloud-init ignores it"},
		{cloudbase.MatchString, "it is a script for cloudbase-init: only a Windows image with cloudbase-init runs it, and cloud-init ignores it"},
		{isPowerShell, "it looks like PowerShell: a Windows image with cloudbase-init runs it if its first line is #ps1_sysnative, and cloud-init " +
			"ignores it"},
		{batch.MatchString, "it looks like a batch file: a Windows image with cloudbase-init runs it if its first line is rem cmd, and cloud-init ignores it"},
		{func(text string) bool {
			return strings.HasPrefix(text, "<?xml") || strings.HasPrefix(text, "<unattend")
		},
			"it is XML, which cloud-init ignores: an answer file of Windows Setup belongs onto a disk of its own (a Secret or ConfigMap with the file " +
				"autounattend.xml)"},
		{kickstart.MatchString, "it looks like a Kickstart file, which only an installer reads: cloud-init ignores it"},
		{preseed.MatchString, "it looks like a preseed file, which only the installer of Debian reads: cloud-init ignores it"},
	}
}

func isTalos(text string) bool {
	return talos.MatchString(text) && talosPart.MatchString(text) || talosSection.MatchString(text)
}

func isPowerShell(text string) bool {
	return powerShell.MatchString(text) || psVariable.MatchString(text)
}

// foreignProblem says for whom user data without a header of cloud-init was written, or "" if that cannot be told.
func foreignProblem(text string) string {
	if problem := encodedProblem(text); problem != "" {
		return problem
	}
	for _, kind := range foreigns() {
		if kind.matches(text) {
			return kind.problem
		}
	}
	return ""
}

// shortestBase64 is the shortest text that is taken for base64. Shorter ones may be words.
const shortestBase64 = 16

// encodedProblem finds text that must be decoded first.
func encodedProblem(text string) string {
	if strings.HasPrefix(text, "\x1f\u008b") || strings.HasPrefix(text, "\x1f\ufffd") {
		return "it is a gzip file that was read as text, which damaged it: put the text itself here, or the file into a Secret that cloudInitSecretRef names"
	}
	compact := strings.Join(strings.Fields(text), "")
	if len(compact) < shortestBase64 {
		return ""
	}
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(compact), "="))
	if err != nil {
		return ""
	}
	switch {
	case bytes.HasPrefix(decoded, gzipMagic):
		return "it is a gzip file in base64, and the guest ignores all of it: put the text itself here"
	case isText(decoded):
		return "it is base64, and the guest ignores all of it: put the text itself here, decoded with base64 -d"
	}
	return ""
}

func isText(data []byte) bool {
	if !utf8.Valid(data) {
		return false
	}
	for _, r := range string(data) {
		if unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' {
			return false
		}
	}
	return true
}

// scriptProblem finds line ends in the first line of a script that no Unix understands.
func scriptProblem(text string) string {
	script := text
	if strings.HasPrefix(beginning(text), "#cloud-boothook") {
		_, script, _ = strings.Cut(text, "\n")
	}
	first, _, found := strings.Cut(script, "\n")
	if !found || !strings.HasPrefix(first, "#!") || !strings.HasSuffix(first, "\r") {
		return ""
	}
	return "its lines end in CR LF, as Windows writes them, and the guest does not find an interpreter whose name ends in CR: save it with the line ends " +
		"of Unix (LF)"
}
