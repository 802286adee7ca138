package csi

import (
	"context"
	"errors"
	"fmt"
	"os"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// node shows volumes to the pods of a node. It runs inside the node, in the mount namespace of the kubelet.
type node struct {
	spec.UnimplementedNodeServer
	folders folders
	name    string
}

// NodeGetInfo names the node.
func (n *node) NodeGetInfo(context.Context, *spec.NodeGetInfoRequest) (*spec.NodeGetInfoResponse, error) {
	return &spec.NodeGetInfoResponse{NodeId: n.name}, nil
}

// NodeGetCapabilities says that volumes are published without a stage before.
func (n *node) NodeGetCapabilities(context.Context, *spec.NodeGetCapabilitiesRequest) (*spec.NodeGetCapabilitiesResponse, error) {
	return &spec.NodeGetCapabilitiesResponse{}, nil
}

// NodePublishVolume binds the folder of a volume to where the kubelet wants it. A second call for the same place changes
// nothing.
func (n *node) NodePublishVolume(_ context.Context, request *spec.NodePublishVolumeRequest) (*spec.NodePublishVolumeResponse, error) {
	if _, err := n.folders.find(volumes, request.GetVolumeId()); err != nil {
		return nil, coded(err)
	}
	if err := publish(n.folders.data(volumes, request.GetVolumeId()), request.GetTargetPath(), request.GetReadonly()); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &spec.NodePublishVolumeResponse{}, nil
}

func publish(folder, target string, readOnly bool) error {
	if err := os.MkdirAll(target, 0o750); err != nil {
		return err
	}
	source, err := os.Stat(folder)
	if err != nil {
		return err
	}
	if there, err := os.Stat(target); err == nil && os.SameFile(source, there) {
		return nil
	}
	if err := unix.Mount(folder, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", folder, target, err)
	}
	if !readOnly {
		return nil
	}
	if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return errors.Join(fmt.Errorf("make %s read-only: %w", target, err), unix.Unmount(target, unix.MNT_DETACH))
	}
	return nil
}

// NodeUnpublishVolume takes the folder away. One that is not there any more, as after a power loss, is no error.
func (n *node) NodeUnpublishVolume(_ context.Context, request *spec.NodeUnpublishVolumeRequest) (*spec.NodeUnpublishVolumeResponse, error) {
	target := request.GetTargetPath()
	err := unix.Unmount(target, 0)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return nil, status.Errorf(codes.Internal, "unmount %s: %v", target, err)
	}
	// Not RemoveAll: should the mount still be there, the files of the volume must not go.
	if err := os.Remove(target); err != nil && !os.IsNotExist(err) {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &spec.NodeUnpublishVolumeResponse{}, nil
}
