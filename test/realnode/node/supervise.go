package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"tensorstack.dev/virtualserver/test/realnode/imagestore"
)

// restartDelay is how long a server of the node stays down after it ended.
const restartDelay = time.Second

// holdInterval is how often the supervisor looks whether a running server is to be held down.
const holdInterval = 200 * time.Millisecond

// containerdTimeout is how long the kubelet waits for containerd.
const containerdTimeout = 15 * time.Second

// server is one of the node's servers.
type server struct {
	name string
	args []string
}

// Supervise runs the node's servers inside the node, each again after it ends, until ctx is done. As a service manager
// would, it does not care why one ended: a kubelet whose containerd does not answer yet ends, and is started again.
func Supervise(ctx context.Context, dir string) error {
	config, err := Load(dir)
	if err != nil {
		return err
	}
	kube := filepath.Join(config.BinDir, "kube")
	servers := []server{
		{"containerd", []string{filepath.Join(config.BinDir, "containerd"), "--config", config.file("containerd.toml")}},
		{"kubelet", []string{
			kube, "kubelet", "--config=" + config.file("kubelet.json"), "--kubeconfig=" + config.credential("kubelet.kubeconfig"),
			"--hostname-override=" + config.Name, "--node-ip=" + config.plan().Node(config.Index).String(), "--v=2",
		}},
		{"csi", []string{filepath.Join(config.BinDir, "realnode"), "csi-node", "--dir", dir}},
		{"kube-proxy", []string{kube, "kube-proxy", "--config=" + config.file("kube-proxy.json"), "--v=1"}},
	}
	var group sync.WaitGroup
	for _, server := range servers {
		group.Go(func() { server.keepRunning(ctx, config) })
		if server.name == "containerd" {
			// This spares the kubelet a start that would fail. If containerd does not come, the kubelet's log says so.
			_ = imagestore.WaitForFile(ctx, containerdSocket, containerdTimeout)
		}
	}
	group.Wait()
	return nil
}

// keepRunning starts the server whenever it does not run and is not held down.
func (s server) keepRunning(ctx context.Context, config Config) {
	for {
		if !config.held(s.name) {
			err := s.run(ctx, config)
			fmt.Printf("%s %s ended: %v\n", time.Now().Format(time.RFC3339), s.name, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(restartDelay):
		}
	}
}

func (c Config) held(name string) bool {
	_, err := os.Stat(c.Hold(name))
	return err == nil
}

// run runs the server until it ends, ctx is done or it is to be held down.
func (s server) run(ctx context.Context, config Config) error {
	log, err := os.OpenFile(config.Log(s.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	command := exec.CommandContext(ctx, s.args[0], s.args[1:]...)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	ticker := time.NewTicker(holdInterval)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-ticker.C:
			if config.held(s.name) {
				cancel()
			}
		}
	}
}
