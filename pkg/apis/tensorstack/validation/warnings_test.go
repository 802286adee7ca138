package validation

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func TestWarnings(t *testing.T) {
	cloudInit := func(data string) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) { spec.CloudInit = data }
	}
	tests := map[string]struct {
		change func(*tensorstack.VirtualServerSpec)
		want   []string
	}{
		"good cloud-init":   {cloudInit("#cloud-config\nuser: a\n"), nil},
		"no header":         {cloudInit("user: a\n"), []string{"spec.cloudInit: its first line must be #cloud-config"}},
		"not YAML":          {cloudInit("#cloud-config\na: [\n"), []string{"spec.cloudInit: it is not the YAML"}},
		"an unknown module": {cloudInit("#cloud-config\n\"a\\u0001\": 1\n"), []string{"spec.cloudInit: cloud-init does not know"}},
		"a password":        {cloudInit("#cloud-config\npassword: hunter2\n"), []string{"spec.cloudInitSecretRef"}},
		"a missing filesystem": {cloudInit("#cloud-config\nbootcmd:\n- mount -t virtiofs data /mnt\n"),
			[]string{`the virtiofs filesystem "data", which is not in spec.storage.filesystems`}},
		"a known filesystem": {func(spec *tensorstack.VirtualServerSpec) {
			cloudInit("#cloud-config\nbootcmd:\n- mount -t virtiofs data /mnt\n")(spec)
			filesystems(tensorstack.Filesystem{Name: "data", VolumeSource: claim("c")})(spec)
		}, nil},
		"an upload": {from(cdiv1.DataVolumeSource{Upload: &cdiv1.DataVolumeSourceUpload{}}), []string{"virtctl image-upload"}},
		"plain HTTP": {from(cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: "http://example.com/a"}}),
			[]string{"spec.storage.root.source.http.url: anyone on the way"}},
		"plain HTTP with a checksum": {from(cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: "http://example.com/a", Checksum: "md5:"}}), nil},
		"a password in a URL": {from(cdiv1.DataVolumeSource{S3: &cdiv1.DataVolumeSourceS3{URL: "https://u:p@example.com/a"}}),
			[]string{"spec.storage.root.source.s3.url: holds a user name"}},
		"no verification": {from(cdiv1.DataVolumeSource{Imageio: &cdiv1.DataVolumeSourceImageIO{InsecureSkipVerify: ptr.To(true)}}),
			[]string{"imageio.insecureSkipVerify"}},
		"a read-only root": {func(spec *tensorstack.VirtualServerSpec) {
			spec.Storage.Root.PVC.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
		}, []string{"ReadOnlyMany"}},
		"a claim as disk and filesystem": {func(spec *tensorstack.VirtualServerSpec) {
			disks(tensorstack.AdditionalDisk{Name: "a", VolumeSource: claim("c")})(spec)
			filesystems(tensorstack.Filesystem{Name: "b", VolumeSource: claim("c")})(spec)
		}, []string{`spec.storage.filesystems[0]: the PersistentVolumeClaim "c" is also spec.storage.additionalDisks[0]`}},
		"a claim as two filesystems": {filesystems(
			tensorstack.Filesystem{Name: "a", VolumeSource: claim("c")}, tensorstack.Filesystem{Name: "b", VolumeSource: claim("c")},
		), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			vs := valid()
			test.change(&vs.Spec)
			got := Warnings(vs)
			require.Len(t, got, len(test.want), "%v", got)
			for i, part := range test.want {
				assert.Contains(t, got[i], part)
				assert.NotContains(t, got[i], "hunter2")
			}
		})
	}
}

func TestHeaderText(t *testing.T) {
	assert.Equal(t, "a b c d", headerText("a\nb\x01c\xffd"))
}
