package version

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestVersionOfABuild(t *testing.T) {
	for what, test := range map[string]struct{ built, want string }{
		"a tag":                     {"v0.2.0", "v0.2.0"},
		"a commit after a tag":      {"v0.2.1-0.20261201133319-5cbc6b442dc0", "v0.2.1-0.20261201133319-5cbc6b442dc0"},
		"changes without a commit":  {"v0.2.0+dirty", "v0.2.0+dirty"},
		"no history":                {"(devel)", Unknown},
		"no information of a build": {"", Unknown},
	} {
		t.Run(what, func(t *testing.T) {
			assert.Equal(t, test.want, of(&debug.BuildInfo{Main: debug.Module{Version: test.built}}).Version)
		})
	}
}

func TestCommitOfABuild(t *testing.T) {
	info := of(&debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "5cbc6b4"}, {Key: "vcs.time", Value: "2026-12-01T13:33:19Z"},
	}})
	assert.Equal(t, "5cbc6b4", info.Revision)
	assert.Equal(t, "2026-12-01T13:33:19Z", info.Time)
	assert.Contains(t, info.Platform, "/")
}

// The manager of fields is what stands before the first slash (k8s.io/apiserver managerOrUserAgent).
func TestUserAgentBeginsWithTheName(t *testing.T) {
	agent := UserAgent("virtualserver", "reconcile")
	assert.True(t, strings.HasPrefix(agent, "virtualserver/reconcile v"), agent)
	assert.Contains(t, agent, Get().Version)
}
