package etcd

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// A cluster of etcd serves with most of its members, so a server must start with them too, whichever is away and however.
func TestAMemberOfEtcdMayBeAway(t *testing.T) {
	alive := startEmbedded(t, t.TempDir()).Endpoint()
	// A port that nobody listens on, and one that takes connections and says nothing.
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	refuses := "http://" + closed.Addr().String()
	require.NoError(t, closed.Close())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	mute := "http://" + listener.Addr().String()

	for what, test := range map[string]struct {
		endpoints []string
		want      []string
	}{
		"all there":               {endpoints: []string{alive}},
		"the first is away":       {endpoints: []string{refuses, alive}},
		"the last is away":        {endpoints: []string{alive, refuses}},
		"one says nothing":        {endpoints: []string{mute, alive}},
		"one away and one silent": {endpoints: []string{mute, refuses, alive}},
		"nobody is there":         {endpoints: []string{refuses, mute}, want: []string{refuses, mute}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 3*endpointTimeout)
			defer cancel()
			client, err := NewClient(ctx, storagebackend.TransportConfig{ServerList: test.endpoints})
			require.NoError(t, err)
			t.Cleanup(func() { _ = client.Close() })
			begun := time.Now()
			err = CheckVersions(ctx, client)
			assert.Less(t, time.Since(begun), 2*endpointTimeout, "they are asked at the same time")
			if test.want == nil {
				assert.NoError(t, err)
				return
			}
			for _, endpoint := range test.want {
				assert.ErrorContains(t, err, endpoint)
			}
		})
	}
}

func TestAMemberThatIsTooOldIsRefused(t *testing.T) {
	old, away := endpointAnswer{unfit: assert.AnError}, endpointAnswer{silent: assert.AnError}
	for what, test := range map[string]struct {
		answers []endpointAnswer
		refused bool
	}{
		"all well":                {[]endpointAnswer{{}, {}, {}}, false},
		"one is too old":          {[]endpointAnswer{{}, old, {}}, true},
		"too old, and one away":   {[]endpointAnswer{away, {}, old}, true},
		"two are away":            {[]endpointAnswer{away, {}, away}, false},
		"the rest is too old":     {[]endpointAnswer{away, old, away}, true},
		"nobody answers":          {[]endpointAnswer{away, away, away}, true},
		"the only one is too old": {[]endpointAnswer{old}, true},
	} {
		assert.Equal(t, test.refused, judge(t.Context(), test.answers) != nil, what)
	}
}
