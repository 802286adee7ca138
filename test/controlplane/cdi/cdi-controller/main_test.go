package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"kubevirt.io/containerized-data-importer/pkg/util/cert"
)

func TestParse(t *testing.T) {
	opts, err := parse([]string{"--kubeconfig", "k", "-v", "2"})
	require.NoError(t, err)
	assert.Equal(t, "0", opts.probeAddress, "two controllers on one machine must not share a port by default")

	_, err = parse(nil)
	assert.ErrorContains(t, err, "--kubeconfig is required")
	_, err = parse([]string{"--kubeconfig", "k", "run"})
	assert.ErrorContains(t, err, "unexpected argument")
}

// secretServer answers 404 to the first absent reads of the Secret.
func secretServer(t *testing.T, absent int32, data map[string][]byte) kubernetes.Interface {
	t.Helper()
	var reads atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer any = &corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "cdi", Name: "cdi-api-signing-key"},
			Data:       data,
		}
		w.Header().Set("Content-Type", "application/json")
		if reads.Add(1) <= absent {
			answer = &metav1.Status{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
				Status:   metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
			}
			w.WriteHeader(http.StatusNotFound)
		}
		assert.NoError(t, json.NewEncoder(w).Encode(answer))
	}))
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	require.NoError(t, err)
	return client
}

func TestSigningKeyWaitsUntilItIsMade(t *testing.T) {
	want, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	client := secretServer(t, 2, map[string][]byte{"id_rsa": cert.EncodePrivateKeyPEM(want)})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	got, err := signingKey(ctx, client, "cdi")
	require.NoError(t, err)
	assert.True(t, want.Equal(got))
}

func TestSigningKeyRefusesWhatIsNoKey(t *testing.T) {
	_, err := signingKey(t.Context(), secretServer(t, 0, map[string][]byte{"id_rsa": []byte("junk")}), "cdi")
	assert.ErrorContains(t, err, "decode id_rsa in Secret cdi/cdi-api-signing-key")
}

func TestSigningKeyEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := signingKey(ctx, secretServer(t, 1000, nil), "cdi")
	assert.ErrorIs(t, err, context.Canceled)
}
