package csi

import (
	"context"
	"errors"
	"io/fs"
	"time"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// controller makes and removes volumes and snapshots.
type controller struct {
	spec.UnimplementedControllerServer
	folders folders
}

// ControllerGetCapabilities says what the controller can.
func (c *controller) ControllerGetCapabilities(context.Context, *spec.ControllerGetCapabilitiesRequest) (*spec.ControllerGetCapabilitiesResponse, error) {
	response := &spec.ControllerGetCapabilitiesResponse{}
	for _, capability := range []spec.ControllerServiceCapability_RPC_Type{
		spec.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME, spec.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
		spec.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
	} {
		response.Capabilities = append(response.Capabilities, &spec.ControllerServiceCapability{
			Type: &spec.ControllerServiceCapability_Rpc{Rpc: &spec.ControllerServiceCapability_RPC{Type: capability}},
		})
	}
	return response, nil
}

// refuseBlock refuses what a folder cannot be.
func refuseBlock(capabilities []*spec.VolumeCapability) error {
	for _, capability := range capabilities {
		if capability.GetBlock() != nil {
			return status.Error(codes.InvalidArgument, "there are no block volumes: volumes are folders")
		}
	}
	return nil
}

// CreateVolume makes a volume, empty or with the files of a snapshot.
func (c *controller) CreateVolume(ctx context.Context, request *spec.CreateVolumeRequest) (*spec.CreateVolumeResponse, error) {
	if err := refuseBlock(request.GetVolumeCapabilities()); err != nil {
		return nil, err
	}
	described, from := about{Bytes: request.GetCapacityRange().GetRequiredBytes(), Made: time.Now()}, ""
	if content := request.GetVolumeContentSource(); content != nil {
		snapshot := content.GetSnapshot()
		if snapshot == nil {
			return nil, status.Error(codes.InvalidArgument, "a volume is filled from a snapshot only")
		}
		source, err := c.folders.find(snapshots, snapshot.GetSnapshotId())
		if err != nil {
			return nil, coded(err)
		}
		if described.Bytes < source.Bytes {
			return nil, status.Errorf(codes.OutOfRange, "the snapshot has %d bytes, the volume would have %d", source.Bytes, described.Bytes)
		}
		described.Source, from = snapshot.GetSnapshotId(), c.folders.data(snapshots, snapshot.GetSnapshotId())
	}
	made, err := c.folders.make(ctx, volumes, request.GetName(), described, from)
	if err != nil {
		return nil, coded(err)
	}
	if made.Source != described.Source || made.Bytes < described.Bytes {
		return nil, status.Errorf(codes.AlreadyExists, "volume %s is another one", request.GetName())
	}
	return &spec.CreateVolumeResponse{Volume: &spec.Volume{
		VolumeId: request.GetName(), CapacityBytes: made.Bytes, ContentSource: request.GetVolumeContentSource(),
	}}, nil
}

// DeleteVolume removes a volume.
func (c *controller) DeleteVolume(_ context.Context, request *spec.DeleteVolumeRequest) (*spec.DeleteVolumeResponse, error) {
	return &spec.DeleteVolumeResponse{}, coded(c.folders.remove(volumes, request.GetVolumeId()))
}

// ValidateVolumeCapabilities confirms everything but blocks.
func (c *controller) ValidateVolumeCapabilities(_ context.Context, request *spec.ValidateVolumeCapabilitiesRequest) (*spec.ValidateVolumeCapabilitiesResponse, error) {
	if _, err := c.folders.find(volumes, request.GetVolumeId()); err != nil {
		return nil, coded(err)
	}
	if err := refuseBlock(request.GetVolumeCapabilities()); err != nil {
		return &spec.ValidateVolumeCapabilitiesResponse{Message: err.Error()}, nil
	}
	return &spec.ValidateVolumeCapabilitiesResponse{Confirmed: &spec.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeCapabilities: request.GetVolumeCapabilities(),
	}}, nil
}

// CreateSnapshot copies the files of a volume.
func (c *controller) CreateSnapshot(ctx context.Context, request *spec.CreateSnapshotRequest) (*spec.CreateSnapshotResponse, error) {
	source, err := c.folders.find(volumes, request.GetSourceVolumeId())
	if err != nil {
		return nil, coded(err)
	}
	described := about{Bytes: source.Bytes, Source: request.GetSourceVolumeId(), Made: time.Now()}
	made, err := c.folders.make(ctx, snapshots, request.GetName(), described, c.folders.data(volumes, request.GetSourceVolumeId()))
	if err != nil {
		return nil, coded(err)
	}
	if made.Source != request.GetSourceVolumeId() {
		return nil, status.Errorf(codes.AlreadyExists, "snapshot %s is of volume %s", request.GetName(), made.Source)
	}
	return &spec.CreateSnapshotResponse{Snapshot: snapshotOf(request.GetName(), made)}, nil
}

func snapshotOf(id string, about about) *spec.Snapshot {
	return &spec.Snapshot{
		SnapshotId: id, SourceVolumeId: about.Source, SizeBytes: about.Bytes, CreationTime: timestamppb.New(about.Made), ReadyToUse: true,
	}
}

// DeleteSnapshot removes a snapshot.
func (c *controller) DeleteSnapshot(_ context.Context, request *spec.DeleteSnapshotRequest) (*spec.DeleteSnapshotResponse, error) {
	return &spec.DeleteSnapshotResponse{}, coded(c.folders.remove(snapshots, request.GetSnapshotId()))
}

// ListSnapshots lists all snapshots, one of them, or those of a volume.
func (c *controller) ListSnapshots(_ context.Context, request *spec.ListSnapshotsRequest) (*spec.ListSnapshotsResponse, error) {
	ids, err := c.folders.list(snapshots)
	if err != nil {
		return nil, coded(err)
	}
	response := &spec.ListSnapshotsResponse{}
	for _, id := range ids {
		found, err := c.folders.find(snapshots, id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, coded(err)
		}
		if (request.GetSnapshotId() == "" || request.GetSnapshotId() == id) &&
			(request.GetSourceVolumeId() == "" || request.GetSourceVolumeId() == found.Source) {
			response.Entries = append(response.Entries, &spec.ListSnapshotsResponse_Entry{Snapshot: snapshotOf(id, found)})
		}
	}
	return response, nil
}

// coded gives an error the code that its caller acts on.
func coded(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return status.Error(codes.NotFound, err.Error())
	default:
		return status.Error(codes.Internal, err.Error())
	}
}
