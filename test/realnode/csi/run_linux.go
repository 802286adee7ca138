package csi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// The kubelet's folders inside a node.
const (
	pluginFolder   = "/var/lib/kubelet/plugins/" + DriverName
	registryFolder = "/var/lib/kubelet/plugins_registry"
)

// Folder is where the driver keeps its volumes, below the folder of all volumes of a lab.
func Folder(volumes string) string { return filepath.Join(volumes, "csi") }

// RunController serves the part that makes and removes volumes on a socket, until ctx is done. Volumes are below folder.
func RunController(ctx context.Context, socket, folder string) error {
	server := grpc.NewServer()
	spec.RegisterIdentityServer(server, identity{})
	spec.RegisterControllerServer(server, &controller{folders: folders{root: folder}})
	return serve(ctx, server, socket)
}

// RunNode serves the part that shows volumes to pods, inside the node of that name, and makes it known to the kubelet, until
// ctx is done. Volumes are below folder, as on the machine.
func RunNode(ctx context.Context, name, folder string) error {
	ctx, refused := context.WithCancelCause(ctx)
	defer refused(nil)
	socket := filepath.Join(pluginFolder, "csi.sock")
	driver := grpc.NewServer()
	spec.RegisterIdentityServer(driver, identity{})
	spec.RegisterNodeServer(driver, &node{folders: folders{root: folder}, name: name})
	known := grpc.NewServer()
	registration.RegisterRegistrationServer(known, &registrar{endpoint: socket, refused: refused})

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serve(ctx, driver, socket) })
	group.Go(func() error { return serve(ctx, known, filepath.Join(registryFolder, DriverName+"-reg.sock")) })
	err := group.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// serve serves on a socket until ctx is done. A socket that a killed process left makes room.
func serve(ctx context.Context, server *grpc.Server, socket string) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return err
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("socket of the storage driver: %w", err)
	}
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	return server.Serve(listener)
}
