package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"
)

// Guests that can be imported on real nodes.
const (
	// SmallGuest boots in seconds and shows what it was given.
	SmallGuest = "small.qcow2"
	// DebianGuest is a Debian with cloud-init, guest agent and SSH server.
	DebianGuest = "debian.qcow2"
)

// RealNodes tells whether machines run in QEMU on real nodes, or are simulated.
func (c *ControlPlane) RealNodes() bool { return c.real() }

// LabAddress is this machine's address in the network of real nodes: what listens there can be reached by nodes, pods and
// guests. It is the zero Addr with simulated nodes.
func (c *ControlPlane) LabAddress() netip.Addr { return c.labAddress }

// VolumesDir is where the folders of PersistentVolumes of real nodes are on this machine, each under the name of its
// volume.
func (c *ControlPlane) VolumesDir() string { return c.volumesDir() }

// NodeDir is the folder of a real node on this machine: its logs and what its disk keeps.
func (c *ControlPlane) NodeDir(name string) string { return c.nodeDir(name) }

// GuestURL is where pods of real nodes fetch the image of a guest. file is a file of the folder of guests, such as
// SmallGuest.
func (c *ControlPlane) GuestURL(file string) string {
	return fmt.Sprintf("http://%s/%s", netip.AddrPortFrom(c.labAddress, uint16(c.ports.Guests)), file)
}

// serveGuests serves the images of the guests to the nodes' pods until the control plane stops.
func (c *ControlPlane) serveGuests() error {
	listener, err := net.Listen("tcp", netip.AddrPortFrom(c.labAddress, uint16(c.ports.Guests)).String())
	if err != nil {
		return fmt.Errorf("server of guest images: %w", err)
	}
	server := &http.Server{
		Handler:           http.FileServer(http.Dir(filepath.Join(filepath.Dir(c.options.ImageDir), "guests"))),
		ReadHeaderTimeout: 10 * time.Second,
	}
	stop := context.AfterFunc(c.own.context, func() { _ = server.Close() })
	c.own.loops.Go(func() {
		defer stop()
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			c.fail(fmt.Errorf("server of guest images: %w", err))
		}
	})
	return nil
}

// UploadAuthority is the file with the authority of CDI's upload proxy, which real nodes run.
func (c *ControlPlane) UploadAuthority() string { return c.paths.crt(cdiCA) }
