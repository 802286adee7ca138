package guide

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
)

// imageFile fetches a guest's image, as a user has it on his own machine.
func imageFile(e *framework.Environment, name string) string {
	e.T.Helper()
	response, err := http.Get(e.Plane.GuestURL(name))
	require.NoError(e.T, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(e.T, http.StatusOK, response.StatusCode)
	path := filepath.Join(e.T.TempDir(), name)
	file, err := os.Create(path)
	require.NoError(e.T, err)
	_, err = io.Copy(file, response.Body)
	require.NoError(e.T, err)
	require.NoError(e.T, file.Close())
	return path
}

// The root disk waits for an image that a user uploads with virtctl, through CDI's own upload proxy.
func TestRootDiskThatIsUploaded(t *testing.T) {
	e := newEnvironment(t)
	const name = "uploaded"
	e.Create(small(e, name, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.Source = cdiv1.DataVolumeSource{Upload: &cdiv1.DataVolumeSourceUpload{}}
	}))
	e.WaitFor(bootTimeout, name, "waits for the upload", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.Import == nil || vs.Status.Import.Phase != string(cdiv1.UploadReady) {
			return "not ready for an upload"
		}
		return ""
	})
	assert.Contains(t, e.Get(name).Status.Message, "upload", "the user is told what to do")

	image := imageFile(e, controlplane.SmallGuest)
	address := "https://127.0.0.1:" + forwarded(e, "cdi", "cdi-uploadproxy", "443")
	result := e.RunIn(append(e.Environ(), "SSL_CERT_FILE="+e.Plane.UploadAuthority()), "", "kubectl", "virt", "-n", e.Namespace,
		"image-upload", "dv", e.MachineName(name), "--uploadproxy-url="+address, "--image-path="+image)
	require.NoError(t, result.Err, result.Stdout+result.Stderr)
	boot(e, name, "").run("true")
	assert.Equal(t, string(cdiv1.Succeeded), e.Get(name).Status.Import.Phase)
}
