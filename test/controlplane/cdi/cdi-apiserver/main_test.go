package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseListensOnLoopbackByDefault(t *testing.T) {
	opts, err := parse([]string{"--kubeconfig", "k", "--tls-cert-file", "c", "--tls-private-key-file", "p", "-v", "2"})
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1", opts.bindAddress)
	assert.EqualValues(t, 8443, opts.securePort)
}

func TestParseRefuses(t *testing.T) {
	files := []string{"--kubeconfig", "k", "--tls-cert-file", "c", "--tls-private-key-file", "p"}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no kubeconfig", files[2:], "required"},
		{"no certificate", append(files[:2:2], files[4:]...), "required"},
		{"no key", files[:4:4], "required"},
		{"port 0", append(files[:6:6], "--secure-port", "0"), "between 1 and 65535"},
		{"a port too high", append(files[:6:6], "--secure-port", "65536"), "between 1 and 65535"},
		{"an argument", append(files[:6:6], "serve"), "unexpected argument"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(test.args)
			assert.ErrorContains(t, err, test.want)
		})
	}
}
