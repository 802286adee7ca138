package options

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apiserver/pkg/features"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

var update = flag.Bool("update", false, "write the golden files anew")

// parse returns options as a command line sets them.
func parse(t *testing.T, args ...string) *Options {
	t.Helper()
	o := New()
	all := pflag.NewFlagSet("test", pflag.ContinueOnError)
	for _, section := range o.Flags().FlagSets {
		all.AddFlagSet(section)
	}
	require.NoError(t, all.Parse(args))
	return o
}

// TestFlagsAreTheSame fails if a flag or a default changes, be it by us or by a new version of a library. Look at the
// difference, tell users about it, and run the test with -update.
func TestFlagsAreTheSame(t *testing.T) {
	var lines []string
	for name, section := range New().Flags().FlagSets {
		section.VisitAll(func(f *pflag.Flag) {
			value := f.DefValue
			if f.Name == "feature-gates" || f.Name == "log-text-info-buffer-size" {
				value = "..."
			}
			lines = append(lines, fmt.Sprintf("%s: --%s=%s", name, f.Name, value))
		})
	}
	sort.Strings(lines)
	got := strings.Join(lines, "\n") + "\n"
	golden := filepath.Join("testdata", "flags.txt")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func TestValidate(t *testing.T) {
	const embedded, external = "--data-dir=/var/lib/virtualserver", "--etcd-servers=https://etcd:2379"
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"embedded etcd", []string{embedded}, ""},
		{"external etcd", []string{external, "--etcd-cafile=ca"}, ""},
		{"no etcd", nil, "set --data-dir"},
		{"both", []string{embedded, external, "--etcd-cafile=ca"}, "exclude each other"},
		{"etcd in the clear", []string{"--etcd-servers=http://etcd:2379"}, "not encrypted"},
		{"protobuf in etcd", []string{embedded, "--storage-media-type=application/vnd.kubernetes.protobuf"}, "no protobuf form"},
		{"overrides", []string{embedded, "--etcd-servers-overrides=/pods#http://a:1"}, "--etcd-servers-overrides"},
		{"no workers", []string{embedded, "--controller-workers=0"}, "--controller-workers"},
		{"impatient election", []string{embedded, "--leader-election-lease-duration=5s"}, "--leader-election-lease-duration"},
		{"slow election", []string{embedded, "--leader-election-retry-period=9s"}, "--leader-election-retry-period"},
		{"unknown plugin", []string{embedded, "--enable-admission-plugins=Nonsense"}, "Nonsense"},
		{"no namespace", []string{embedded, "--namespace="}, "--namespace"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := parse(t, test.args...).Validate()
			if test.want == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, test.want)
			}
		})
	}
}

func TestNothingLeavesTheServerOpen(t *testing.T) {
	o := New()
	assert.NotNil(t, o.Recommended.Authentication)
	assert.NotNil(t, o.Recommended.Authorization)
	assert.NotNil(t, o.Recommended.Admission)
	assert.NotNil(t, o.Recommended.Audit)
	assert.False(t, o.Recommended.Authentication.RemoteKubeConfigFileOptional)
	assert.False(t, o.Recommended.Authorization.RemoteKubeConfigFileOptional)
	assert.Equal(t, 1000, o.Recommended.SecureServing.HTTP2MaxStreamsPerConnection)
	assert.False(t, utilfeature.DefaultFeatureGate.Enabled(features.UnauthenticatedHTTP2DOSMitigation))
}

func TestAdmissionPlugins(t *testing.T) {
	assert.Equal(t, []string{
		"NamespaceLifecycle", "MutatingAdmissionPolicy", "MutatingAdmissionWebhook", "ValidatingAdmissionPolicy",
		"ValidatingAdmissionWebhook", "VirtualServerReferences", "ImportURLPolicy", "VirtualServerDisks", "VirtualServerCopies",
		"VirtualServerPreflight", "ResourceQuota",
	}, New().Recommended.Admission.RecommendedPluginOrder)
}
