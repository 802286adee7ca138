package stream

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clientrest "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestTheVersionIsRemembered(t *testing.T) {
	var asked atomic.Int32
	var away atomic.Bool
	back := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if away.Load() {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, `{"gitVersion":"v1.7.0"}`)
	}))
	defer back.Close()
	clock := clocktesting.NewFakeClock(time.Unix(0, 0))
	gateway, err := New(Config{
		Store: newMemoryStore(), Recorder: record.NewFakeRecorder(1), Metrics: NewMetrics(), Authorizer: policy{}, Clock: clock,
		ClientConfig: &clientrest.Config{Host: back.URL, TLSClientConfig: clientrest.TLSClientConfig{CAData: certificateOf(back)}},
	})
	require.NoError(t, err)

	for range 3 {
		version, err := gateway.ReadVersion(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "v1.7.0", version["gitVersion"])
		version["gitVersion"] = "changed by a caller"
	}
	assert.EqualValues(t, 1, asked.Load())

	clock.Step(versionLife + time.Second)
	away.Store(true)
	for range 2 {
		_, err = gateway.ReadVersion(t.Context())
		assert.Equal(t, 503, statusCode(err))
		_, retry := apierrors.SuggestsClientDelay(err)
		assert.False(t, retry, "virtctl waits for nothing")
	}
	assert.EqualValues(t, 3, asked.Load(), "a failure is not remembered")
	away.Store(false)
	_, err = gateway.ReadVersion(t.Context())
	assert.NoError(t, err)
}
