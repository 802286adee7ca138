// Package agent puts the roles of the node agent together and runs them.
package agent

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/test/nodeagent/cluster"
	"tensorstack.dev/virtualserver/test/nodeagent/disk"
	"tensorstack.dev/virtualserver/test/nodeagent/guest"
	"tensorstack.dev/virtualserver/test/nodeagent/handler"
	"tensorstack.dev/virtualserver/test/nodeagent/importer"
	"tensorstack.dev/virtualserver/test/nodeagent/kubelet"
	"tensorstack.dev/virtualserver/test/nodeagent/node"
)

// workers is how many machines, and how many pods, are reconciled at a time.
const workers = 8

// Config is all that an agent needs.
type Config struct {
	// Agent and KubeVirt are the two identities; see cluster.Cluster.
	Agent, KubeVirt *rest.Config
	// Address and Port are where virt-api reaches the machines of every node.
	Address string
	Port    int
	TLS     handler.TLSFiles
	// Kubelet is the certificate with which logs are served, at the port in Nodes.
	Kubelet handler.TLSFiles
	Nodes   node.Options
	Import  importer.Options
	// Hypervisor runs the guests.
	Hypervisor guest.Hypervisor
}

// Run runs an agent until the context ends. Guests end with the agent's
// process, but machines do not: the next agent takes them up again.
func Run(ctx context.Context, config Config) error {
	stopped := ctx
	ctx, cancel := context.WithCancelCause(stopped)
	defer cancel(nil)
	c, err := cluster.New(config.Agent, config.KubeVirt)
	if err != nil {
		return err
	}
	tlsConfig, err := handler.TLSConfig(config.TLS, handler.ClientName)
	if err != nil {
		return err
	}
	address := net.JoinHostPort(config.Address, strconv.Itoa(config.Port))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening for virt-api: %w", err)
	}
	defer listener.Close()
	logs, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(config.Address, strconv.Itoa(int(config.Nodes.KubeletPort))))
	if err != nil {
		return fmt.Errorf("listening for kube-apiserver: %w", err)
	}
	defer logs.Close()

	// Guests end after everything that reports their end.
	guestContext, endGuests := context.WithCancel(context.WithoutCancel(ctx))
	defer config.Hypervisor.Wait()
	defer endGuests()

	progress := importer.NewProgress(progressTLS(tlsConfig))
	machines := handler.New(guestContext, c, config.Hypervisor, config.Address)
	nodes := node.NewNodes(c, config.Nodes)
	pods := node.NewPods(c, config.Address, machines, importer.New(c, config.Import, progress))
	handlers := node.NewHandlerPods(c)
	disks := disk.New(c)
	snapshots, err := disk.NewSnapshots(c, config.Agent)
	if err != nil {
		return err
	}
	for _, register := range []func() error{
		nodes.Register, pods.Register, handlers.Register, disks.Register,
		func() error { return machines.Register(pods.Touch) },
	} {
		if err := register(); err != nil {
			return err
		}
	}

	var group sync.WaitGroup
	defer group.Wait()
	defer cancel(nil)
	group.Go(func() { c.Run(ctx) })
	if err := nodes.Create(ctx); err != nil {
		return ignoreEnd(stopped, err)
	}
	if err := c.Sync(ctx); err != nil {
		return ignoreEnd(stopped, err)
	}
	group.Go(func() { node.KeepSchedulingPolicy(ctx, c) })
	group.Go(func() { progress.Run(ctx) })
	group.Go(func() { nodes.Run(ctx) })
	group.Go(func() { handlers.Run(ctx) })
	group.Go(func() { disks.RunClaims(ctx) })
	group.Go(func() { disks.RunVolumes(ctx) })
	group.Go(func() { snapshots.Run(ctx) })
	group.Go(func() { pods.Run(ctx, workers) })
	group.Go(func() { machines.Run(ctx, workers) })
	group.Go(func() {
		if err := machines.Serve(ctx, listener, tlsConfig); err != nil {
			cancel(err)
		}
	})
	group.Go(func() {
		if err := kubelet.Serve(ctx, logs, config.Kubelet, c.Pod); err != nil {
			cancel(err)
		}
	})
	klog.FromContext(ctx).Info("The node agent runs", "nodes", config.Nodes.Names, "address", address)
	<-ctx.Done()
	return ignoreEnd(stopped, context.Cause(ctx))
}

// ignoreEnd drops the errors that follow from an end on purpose.
func ignoreEnd(stopped context.Context, err error) error {
	if stopped.Err() != nil {
		return nil
	}
	return err
}

// progressTLS serves the same certificate without asking for one of the client:
// cdi-controller has none.
func progressTLS(config *tls.Config) *tls.Config {
	return &tls.Config{MinVersion: config.MinVersion, GetCertificate: config.GetCertificate}
}
