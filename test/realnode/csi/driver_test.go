package csi

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// dial starts the controller on a socket and connects as the provisioner does.
func dial(t *testing.T, folder string) spec.ControllerClient {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "csi.sock")
	require.NoError(t, os.WriteFile(socket, nil, 0o600), "what a killed process left")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- RunController(ctx, socket, folder) }()
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, connection.Close())
		stop()
		assert.NoError(t, <-ended)
	})
	info, err := spec.NewIdentityClient(connection).GetPluginInfo(within(t), &spec.GetPluginInfoRequest{})
	require.NoError(t, err)
	assert.Equal(t, DriverName, info.GetName())
	return spec.NewControllerClient(connection)
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func volumeOf(name string, bytes int64, snapshot string) *spec.CreateVolumeRequest {
	request := &spec.CreateVolumeRequest{Name: name, CapacityRange: &spec.CapacityRange{RequiredBytes: bytes}}
	if snapshot != "" {
		request.VolumeContentSource = &spec.VolumeContentSource{Type: &spec.VolumeContentSource_Snapshot{
			Snapshot: &spec.VolumeContentSource_SnapshotSource{SnapshotId: snapshot}}}
	}
	return request
}

func codeOf(_ any, err error) codes.Code { return status.Code(err) }

func TestASnapshotKeepsWhatWasThere(t *testing.T) {
	root := t.TempDir()
	client, ctx := dial(t, root), within(t)
	files := folders{root: root}
	made, err := client.CreateVolume(ctx, volumeOf("source", 100, ""))
	require.NoError(t, err)
	assert.EqualValues(t, 100, made.GetVolume().GetCapacityBytes())
	file := filepath.Join(files.data(volumes, "source"), "file")
	require.NoError(t, os.WriteFile(file, []byte("first"), 0o640))
	require.NoError(t, os.Symlink("file", filepath.Join(files.data(volumes, "source"), "link")))

	taken, err := client.CreateSnapshot(ctx, &spec.CreateSnapshotRequest{Name: "snap", SourceVolumeId: "source"})
	require.NoError(t, err)
	assert.True(t, taken.GetSnapshot().GetReadyToUse())
	assert.EqualValues(t, 100, taken.GetSnapshot().GetSizeBytes())
	require.NoError(t, os.WriteFile(file, []byte("second"), 0o640))
	again, err := client.CreateSnapshot(ctx, &spec.CreateSnapshotRequest{Name: "snap", SourceVolumeId: "source"})
	require.NoError(t, err)
	assert.Equal(t, taken.GetSnapshot().GetCreationTime().AsTime(), again.GetSnapshot().GetCreationTime().AsTime(), "it is the same one")

	copied, err := client.CreateVolume(ctx, volumeOf("copy", 200, "snap"))
	require.NoError(t, err)
	assert.EqualValues(t, 200, copied.GetVolume().GetCapacityBytes())
	text, err := os.ReadFile(filepath.Join(files.data(volumes, "copy"), "link"))
	require.NoError(t, err)
	assert.Equal(t, "first", string(text))
	require.NoError(t, os.WriteFile(filepath.Join(files.data(volumes, "copy"), "file"), []byte("third"), 0o640))
	text, err = os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "second", string(text), "the source is its own")

	listed, err := client.ListSnapshots(ctx, &spec.ListSnapshotsRequest{SourceVolumeId: "source"})
	require.NoError(t, err)
	assert.Len(t, listed.GetEntries(), 1)
	for range 2 {
		_, err = client.DeleteSnapshot(ctx, &spec.DeleteSnapshotRequest{SnapshotId: "snap"})
		require.NoError(t, err)
		_, err = client.DeleteVolume(ctx, &spec.DeleteVolumeRequest{VolumeId: "source"})
		require.NoError(t, err)
	}
	assert.NoDirExists(t, files.path(volumes, "source"))
	assert.FileExists(t, filepath.Join(files.data(volumes, "copy"), "file"), "a copy outlives what it was made from")
}

func TestRefusals(t *testing.T) {
	client, ctx := dial(t, t.TempDir()), within(t)
	_, err := client.CreateVolume(ctx, volumeOf("source", 100, ""))
	require.NoError(t, err)
	_, err = client.CreateSnapshot(ctx, &spec.CreateSnapshotRequest{Name: "snap", SourceVolumeId: "source"})
	require.NoError(t, err)
	block := volumeOf("block", 100, "")
	block.VolumeCapabilities = []*spec.VolumeCapability{{AccessType: &spec.VolumeCapability_Block{Block: &spec.VolumeCapability_BlockVolume{}}}}

	assert.Equal(t, codes.InvalidArgument, codeOf(client.CreateVolume(ctx, block)))
	assert.Equal(t, codes.OutOfRange, codeOf(client.CreateVolume(ctx, volumeOf("small", 50, "snap"))))
	assert.Equal(t, codes.NotFound, codeOf(client.CreateVolume(ctx, volumeOf("lost", 100, "no-snap"))))
	assert.Equal(t, codes.AlreadyExists, codeOf(client.CreateVolume(ctx, volumeOf("source", 100, "snap"))))
	assert.Equal(t, codes.AlreadyExists, codeOf(client.CreateVolume(ctx, volumeOf("source", 300, ""))))
	assert.Equal(t, codes.NotFound, codeOf(client.CreateSnapshot(ctx, &spec.CreateSnapshotRequest{Name: "other", SourceVolumeId: "../source"})))
	for _, name := range []string{"", ".", "..", "../up", "a/b", ".hidden"} {
		assert.NotEqual(t, codes.OK, codeOf(client.CreateVolume(ctx, volumeOf(name, 1, ""))), name)
	}
}

// What a killed process leaves is never taken for a volume.
func TestHalfAVolumeIsNone(t *testing.T) {
	root := t.TempDir()
	files := folders{root: root}
	require.NoError(t, os.MkdirAll(filepath.Join(root, string(volumes), ".new-1", "data"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(root, string(volumes), "half", "data"), 0o755))
	_, err := files.find(volumes, ".new-1")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = files.find(volumes, "half")
	require.ErrorIs(t, err, os.ErrNotExist, "one whose removal was broken off")
	require.NoError(t, files.remove(volumes, "half"))
	assert.NoDirExists(t, files.path(volumes, "half"))
}

func TestTheKubeletIsTold(t *testing.T) {
	ctx, refused := context.WithCancelCause(t.Context())
	known := &registrar{endpoint: "/somewhere/csi.sock", refused: refused}
	info, err := known.GetInfo(ctx, &registration.InfoRequest{})
	require.NoError(t, err)
	assert.Equal(t, registration.CSIPlugin, info.GetType())
	assert.Equal(t, DriverName, info.GetName())
	assert.Equal(t, "/somewhere/csi.sock", info.GetEndpoint())
	_, err = known.NotifyRegistrationStatus(ctx, &registration.RegistrationStatus{PluginRegistered: true})
	require.NoError(t, err)
	require.NoError(t, ctx.Err())
	_, err = known.NotifyRegistrationStatus(ctx, &registration.RegistrationStatus{Error: "no such version"})
	require.NoError(t, err)
	require.Error(t, ctx.Err())
	assert.ErrorContains(t, context.Cause(ctx), "no such version")
	assert.False(t, errors.Is(context.Cause(ctx), context.Canceled))
}
