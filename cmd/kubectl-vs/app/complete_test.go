package app

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What the shell offers behind a flag.
func TestFlagsAreCompleted(t *testing.T) {
	here := newCluster(t)
	inner := here.Config.Handler
	here.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := map[string]string{
			"/apis/storage.k8s.io/v1/storageclasses": `{"kind":"StorageClassList","apiVersion":"storage.k8s.io/v1","items":[` +
				`{"metadata":{"name":"fast"},"provisioner":"ceph"},{"metadata":{"name":"slow"},"provisioner":"nfs"}]}`,
			"/api/v1/nodes": `{"kind":"NodeList","apiVersion":"v1","items":[{"metadata":{"name":"a"},"status":{"allocatable":` +
				`{"cpu":"4","nvidia.com/A100":"2","devices.kubevirt.io/kvm":"1k"}}},{"metadata":{"name":"b"},"status":{"allocatable":{"nvidia.com/A100":"1"}}}]}`,
		}[r.URL.Path]
		if body == "" {
			inner.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(bytes.NewBufferString(body).Bytes())
	})
	for flag, want := range map[string][]string{
		"--storage-class": {"fast\tceph", "slow\tnfs"},
		"--gpu":           {"nvidia.com/A100"},
		"--dry-run":       {"none", "client", "server"},
		"--run-strategy":  runStrategies(),
	} {
		got := here.runs(t, nil, "__complete", "create", "web", flag, "")
		lines := strings.Split(strings.TrimSpace(got.out), "\n")
		assert.Equal(t, want, lines[:len(lines)-1], flag)
	}
	got := here.runs(t, nil, "__complete", "create", "web", "--storage-class", "s")
	assert.Equal(t, "slow\tnfs\n:4\n", got.out)
}
