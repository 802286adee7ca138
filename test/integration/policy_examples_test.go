package integration

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// The policies in artifacts/policies let a namespace use the StorageClasses and the image hosts that its annotations name, and no
// others. Namespaces without the label are free.
func TestPoliciesOfTheExamples(t *testing.T) {
	t.Parallel()
	e, free := framework.New(t), framework.New(t)
	file := filepath.Join(e.Root(), "artifacts", "policies", "allowed-sources.yaml")
	e.MustKubectl("apply", "-f", file)
	t.Cleanup(func() { e.Kubectl("delete", "--ignore-not-found", "-f", file) })
	_, err := e.Kube.CoreV1().Namespaces().Patch(e.Context, e.Namespace, types.MergePatchType, []byte(`{"metadata":{
		"labels":{"virtualservers.example.com/restricted":"true"},
		"annotations":{"virtualservers.example.com/storage-classes":"fast,standard","virtualservers.example.com/image-hosts":"images.example.com,registry.example.com"}}}`),
		metav1.PatchOptions{})
	require.NoError(t, err)

	with := func(class *string, source cdiv1.DataVolumeSource) *v1beta1.VirtualServer {
		vs := halted("machine")
		vs.Spec.Storage.Root.PVC.StorageClassName, vs.Spec.Storage.Root.Source = class, source
		return vs
	}
	http := func(url string) cdiv1.DataVolumeSource {
		return cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: url}}
	}
	registry := func(url string) cdiv1.DataVolumeSource {
		return cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{URL: &url}}
	}
	fast, slow := ptr.To("fast"), ptr.To("slow")
	good := http("https://images.example.com/a.qcow2")
	untilRefused(e, with(slow, good))
	untilRefused(e, with(fast, http("https://elsewhere.example.com/a")))
	create := func(e *framework.Environment, vs *v1beta1.VirtualServer) error {
		_, err := e.Client().Create(e.Context, vs, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	for name, test := range map[string]struct {
		vs   *v1beta1.VirtualServer
		want string
	}{
		"allowed":                    {with(fast, good), ""},
		"another class":              {with(slow, good), "allows: fast, standard"},
		"no class":                   {with(nil, good), "allows: fast, standard"},
		"with a port":                {with(fast, http("https://images.example.com:8443/a")), ""},
		"another host":               {with(fast, http("http://example.com/images.example.com")), "allows: images.example.com"},
		"a host that looks alike":    {with(fast, http("https://images.example.com.evil.example/a")), "allows: images.example.com"},
		"the host as the user":       {with(fast, http("https://images.example.com@evil.example/a")), "allows: images.example.com"},
		"a registry":                 {with(fast, registry("docker://registry.example.com/a")), ""},
		"another registry":           {with(fast, registry("docker://evil.example/a")), "allows: images.example.com"},
		"a disk that needs no image": {with(fast, cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}), ""},
	} {
		err := create(e, test.vs)
		if test.want == "" {
			assert.NoError(t, err, name)
		} else {
			assert.ErrorContains(t, err, test.want, name)
		}
	}
	assert.NoError(t, create(free, with(slow, http("https://elsewhere.example.com/a"))), "a namespace without the label")
}
