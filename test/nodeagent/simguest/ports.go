package simguest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// The ports that a guest serves whatever its machine declares.
const (
	portSSH  = 22
	portHTTP = 80
	portAlt  = 8080
)

const headerTimeout = 10 * time.Second

// listen starts the guest's servers. A port that cannot be had, such as one
// below 1024 without the right to it, is only logged. The servers end with the
// context.
func listen(ctx context.Context, g *Guest) *sync.WaitGroup {
	var group sync.WaitGroup
	logger := klog.FromContext(ctx).WithValues("machine", klog.KRef(g.machine.Namespace, g.machine.Name))
	ports := map[int32]bool{portSSH: true, portHTTP: true, portAlt: true}
	for _, port := range g.machine.Ports {
		ports[port] = true
	}
	if g.machine.IP == "" {
		return &group
	}
	for port := range ports {
		address := net.JoinHostPort(g.machine.IP, strconv.Itoa(int(port)))
		var config net.ListenConfig
		listener, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			logger.V(2).Info("The guest does not serve a port", "address", address, "reason", err)
			continue
		}
		group.Go(func() { g.serve(ctx, listener, port) })
	}
	return &group
}

func (g *Guest) serve(ctx context.Context, listener net.Listener, port int32) {
	switch port {
	case portSSH:
		accept(ctx, listener, g.secureShell)
	case portHTTP, portAlt:
		server := &http.Server{Handler: http.HandlerFunc(g.hello), ReadHeaderTimeout: headerTimeout}
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			klog.FromContext(ctx).Error(err, "A guest's web server ended")
		}
	default:
		accept(ctx, listener, func(_ context.Context, conn net.Conn) { _, _ = io.Copy(conn, conn) })
	}
}

func (g *Guest) hello(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprintf(w, "hello from %s/%s\n", g.machine.Namespace, g.machine.Name)
}

// accept serves connections until the context ends and waits for the last one.
func accept(ctx context.Context, listener net.Listener, serve func(context.Context, net.Conn)) {
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		group.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			defer conn.Close()
			serve(ctx, conn)
		})
	}
}
