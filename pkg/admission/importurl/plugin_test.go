package importurl

import (
	"context"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func validate(t *testing.T, config Config, updated, old *cdiv1.DataVolumeSource, subresource string) error {
	t.Helper()
	plugin, err := NewPlugin(config)
	require.NoError(t, err)
	object := func(source *cdiv1.DataVolumeSource) *tensorstack.VirtualServer {
		vs := &tensorstack.VirtualServer{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "vs"}}
		vs.Spec.Storage.Root.Source = *source
		return vs
	}
	kind, resource := tensorstack.SchemeGroupVersion.WithKind("VirtualServer"), tensorstack.SchemeGroupVersion.WithResource("virtualservers")
	jane := &user.DefaultInfo{Name: "jane"}
	if old == nil {
		return plugin.Validate(context.Background(), admission.NewAttributesRecord(object(updated), nil, kind, "default", "vs", resource,
			subresource, admission.Create, nil, false, jane), nil)
	}
	return plugin.Validate(context.Background(), admission.NewAttributesRecord(object(updated), object(old), kind, "default", "vs", resource,
		subresource, admission.Update, nil, false, jane), nil)
}

func http(url string) *cdiv1.DataVolumeSource {
	return &cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: url}}
}

func TestDefaultPolicy(t *testing.T) {
	denied := []string{
		"http://localhost/a", "http://LOCALHOST./a", "http://a.localhost/a", "http://127.0.0.1/a", "http://127.8.8.8:8080/a",
		"http://127.1/a", "http://2130706433/a", "http://0x7f000001/a", "http://0X7F.1/a", "http://0177.0.0.1/a", "http://0/a",
		"http://0.0.0.0/a", "http://[::1]/a", "http://[::]/a", "http://[::ffff:127.0.0.1]/a", "http://[::127.0.0.1]/a",
		"http://[64:ff9b::7f00:1]/a", "http://[2002:7f00:1::]/a", "http://[fe80::1]/a", "http://[fe80::1%25eth0]/a",
		"http://169.254.169.254/latest/meta-data/", "http://169.254.1.1/", "http://2852039166/", "http://0xa9.0xfe.0xa9.0xfe/",
		"http://[fd00:ec2::254]/", "http://metadata.google.internal/", "http://metadata/", "http://100.100.100.200/",
		"https://kubernetes.default/api", "https://kubernetes/", "https://kubernetes.default.svc/", "https://a.b.svc./x",
		"https://a.b.svc.cluster.local/x", "http://user:pass@localhost/", "http://0x7f.0.0.256/", "http://1.2.3.4.5/", "http://127.0.0.09/",
		"http://224.0.0.1/", "http://[ff02::1]/",
	}
	for _, address := range denied {
		err := validate(t, Config{}, http(address), nil, "")
		assert.True(t, apierrors.IsForbidden(err), "%s: %v", address, err)
		if err != nil {
			assert.Contains(t, err.Error(), "spec.storage.root.source.http.url: nothing may be imported from")
			assert.NotContains(t, err.Error(), "pass")
		}
	}
	for _, address := range []string{
		"https://cloud-images.ubuntu.com/a.img", "http://192.0.2.1/a", "http://10.0.0.1/a", "http://192.168.1.1/a", "http://[2001:db8::1]/a",
		"http://minio/a", "http://svc/a", "http://localhost.example.com/a", "http://example.com/localhost", "http://127.0.0.1.example.com/a",
		"http://0x7f.example.com/", "http://cafe/a", "http://example.com:169/a", "http://3com.com/a",
	} {
		assert.NoError(t, validate(t, Config{}, http(address), nil, ""), address)
	}
}

func TestEverySourceIsChecked(t *testing.T) {
	address := "docker://localhost:5000/a"
	sources := map[string]*cdiv1.DataVolumeSource{
		"http":     http("https://localhost/"),
		"s3":       {S3: &cdiv1.DataVolumeSourceS3{URL: "https://localhost/"}},
		"gcs":      {GCS: &cdiv1.DataVolumeSourceGCS{URL: "https://localhost/"}},
		"registry": {Registry: &cdiv1.DataVolumeSourceRegistry{URL: &address}},
		"imageio":  {Imageio: &cdiv1.DataVolumeSourceImageIO{URL: "https://localhost/"}},
		"vddk":     {VDDK: &cdiv1.DataVolumeSourceVDDK{URL: "https://localhost/"}},
	}
	for name, source := range sources {
		err := validate(t, Config{}, source, nil, "")
		require.True(t, apierrors.IsForbidden(err), name)
		assert.Contains(t, err.Error(), "spec.storage.root.source."+name+".url")
		err = validate(t, Config{}, source, &cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}, "")
		assert.True(t, apierrors.IsForbidden(err), "%s on update", name)
		assert.NoError(t, validate(t, Config{}, source, source, ""), "%s that was there before the policy", name)
		assert.NoError(t, validate(t, Config{}, source, http("https://example.com"), "status"), "%s on status", name)
	}
	for _, source := range []*cdiv1.DataVolumeSource{
		{Blank: &cdiv1.DataVolumeBlankImage{}}, {PVC: &cdiv1.DataVolumeSourcePVC{Namespace: "localhost", Name: "localhost"}},
	} {
		assert.NoError(t, validate(t, Config{}, source, nil, ""))
	}
}

func TestConfiguredPolicy(t *testing.T) {
	config := Config{}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFlags(flags)
	require.NoError(t, flags.Parse([]string{
		"--import-url-denied-hosts=10.0.0.0/8,Evil.example.com,*.bad.example,192.0.2.1,2001:db8::/32",
		"--import-url-allowed-hosts=10.1.2.3,minio.images.svc,*.mirror.svc.cluster.local,127.0.0.1",
	}))
	for address, denied := range map[string]bool{
		"http://10.0.0.1/": true, "http://10.1.2.3/": false, "http://evil.example.com/": true, "http://a.evil.example.com/": false,
		"http://a.b.bad.example/": true, "http://bad.example/": false, "http://192.0.2.1/": true, "http://[::ffff:192.0.2.1]/": true,
		"http://[2001:db8::5]/": true, "http://minio.images.svc/": false, "http://minio.other.svc/": true,
		"http://a.mirror.svc.cluster.local/": false, "http://127.0.0.1/": false, "http://127.1/": false, "http://127.0.0.2/": true,
	} {
		assert.Equal(t, denied, apierrors.IsForbidden(validate(t, config, http(address), nil, "")), address)
	}
}

func TestBadConfiguration(t *testing.T) {
	for _, entry := range []string{"https://example.com", "10.0.0.0/33", "a b", "*.*.example.com", "*", ""} {
		_, err := NewPlugin(Config{DeniedHosts: []string{entry}})
		assert.ErrorContains(t, err, "--import-url-denied-hosts", entry)
		_, err = NewPlugin(Config{AllowedHosts: []string{entry}})
		assert.ErrorContains(t, err, "--import-url-allowed-hosts", entry)
	}
}

func FuzzDenies(f *testing.F) {
	for _, seed := range []string{"http://127.1", "http://[::1%25a]", "docker://", "oci-archive:///a", "http://0x", "http://....", "http://[::"} {
		f.Add(seed)
	}
	plugin, err := NewPlugin(Config{})
	require.NoError(f, err)
	f.Fuzz(func(_ *testing.T, address string) { plugin.denies(address) })
}
