package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSelectProgram(t *testing.T) {
	tests := []struct {
		name    string
		args    []string
		program string
		rest    []string
	}{
		{"by the first argument", []string{"/opt/bin/kube", "etcd", "--version"}, "etcd", []string{"etcd", "--version"}},
		{"by its own name", []string{"/opt/bin/kubectl", "get", "pods"}, "kubectl", []string{"kubectl", "get", "pods"}},
		{"its own name wins", []string{"kubectl", "etcd"}, "kubectl", []string{"kubectl", "etcd"}},
		{"a program of the node", []string{"kube", "kubelet", "--v=2"}, "kubelet", []string{"kubelet", "--v=2"}},
		{"a program of the node by its own name", []string{"/opt/bin/kube-proxy", "--config", "x"}, "kube-proxy", []string{"kube-proxy", "--config", "x"}},
		{"without arguments", []string{"kube", "kube-apiserver"}, "kube-apiserver", []string{"kube-apiserver"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			program, rest, err := selectProgram(test.args)
			require.NoError(t, err)
			assert.Equal(t, test.program, program)
			assert.Equal(t, test.rest, rest)
		})
	}
}

func TestSelectProgramRefuses(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no arguments at all", nil, "no program named"},
		{"no program", []string{"kube"}, "no program named"},
		{"an unknown program", []string{"kube", "cloud-controller-manager"}, `unknown program "cloud-controller-manager"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := selectProgram(test.args)
			assert.ErrorContains(t, err, test.want)
		})
	}
}
