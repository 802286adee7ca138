package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/pkg/version"
)

func TestVersionOfTheClientAsksNobody(t *testing.T) {
	out, err := run(t, "version", "--client")
	require.NoError(t, err)
	assert.Equal(t, "Client:  "+version.Get().Version+"\n", out)

	out, err = run(t, "version", "--client", "-o", "json")
	require.NoError(t, err)
	var all versions
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	assert.Equal(t, version.Get(), all.Client)
	assert.Nil(t, all.Server)

	out, err = run(t, "version", "--client", "-o", "yaml")
	require.NoError(t, err)
	assert.Contains(t, out, "client:\n")

	_, err = run(t, "version", "--client", "-o", "picture")
	assert.ErrorContains(t, err, `--output is json or yaml, not "picture"`)
}

func TestWhatAServerSaysOfItsVersion(t *testing.T) {
	for what, test := range map[string]struct {
		status int
		body   string
		want   found
	}{
		"a version":    {http.StatusOK, `{"gitVersion":"v1.7.0"}`, found{Version: "v1.7.0"}},
		"none":         {http.StatusOK, `{}`, found{Note: "installed, of a version that it does not tell"}},
		"no JSON":      {http.StatusOK, `<html>`, found{Note: "the answer cannot be read: invalid character '<' looking for beginning of value"}},
		"not there":    {http.StatusNotFound, "", found{Note: "not installed"}},
		"forbidden":    {http.StatusForbidden, "", found{Note: "you may not see it"}},
		"unauthorized": {http.StatusUnauthorized, "", found{Note: "you may not see it"}},
		"down":         {http.StatusServiceUnavailable, "", found{Note: "installed, and not available now"}},
	} {
		t.Run(what, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			}))
			defer server.Close()
			client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
			require.NoError(t, err)
			assert.Equal(t, &test.want, askVersion(t.Context(), client.RESTClient(), "/version", gitVersion))
		})
	}
}
