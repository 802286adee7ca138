package stream

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestOnlyReadsAreRepeated is about clients: client-go repeats a request of any verb if the answer names a time.
func TestOnlyReadsAreRepeated(t *testing.T) {
	backends := map[string]struct {
		serve http.HandlerFunc
		code  int
	}{
		"KubeVirt is away":      {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) }, 503},
		"the connection is cut": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 503},
		"no answer comes":       {func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }, 504},
	}
	for name, backend := range backends {
		for _, operation := range []string{GuestOSInfo, Pause} {
			t.Run(name+", "+operation, func(t *testing.T) {
				call := named(t, operation)
				ctx := t.Context()
				if backend.code == http.StatusGatewayTimeout {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, 300*time.Millisecond)
					defer cancel()
				}
				response := operate(t, backend.serve, "alice", call, httptest.NewRequest(call.Operation.Method(), "/", nil).WithContext(ctx))
				assert.Equal(t, backend.code, response.StatusCode)
				want := ""
				if call.Operation.Reads {
					want = "1"
				}
				assert.Equal(t, want, response.Header.Get("Retry-After"))
			})
		}
	}
}
