package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/test/realnode/cgroup"
	"tensorstack.dev/virtualserver/test/realnode/network"
	"tensorstack.dev/virtualserver/test/realnode/node"
)

const (
	// clusterDNS is the address of the cluster's name server, in serviceCIDR.
	clusterDNS = "10.96.0.10"
	// kubernetesService is the address of kube-apiserver for pods: the first of serviceCIDR.
	kubernetesService = "10.96.0.1"
	// cniDir is where Debian puts the CNI plugins.
	cniDir = "/usr/lib/cni"
	// realProgram runs the parts of real nodes.
	realProgram = "realnode"
)

// labDir holds the lock files of lab numbers. It is the same for all launchers of a user.
func labDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("virtualserver-lab-%d", os.Getuid()))
}

// Sweep removes what launchers that were killed left on this machine. It leaves labs that run alone.
func Sweep() error {
	if os.Geteuid() != 0 {
		return nil
	}
	return network.EachUnused(labDir(), func(lab int) error {
		if err := cgroup.Remove(cgroup.Root, lab); err != nil {
			return fmt.Errorf("what an earlier lab left: %w", err)
		}
		return nil
	})
}

// claimLab takes a number for this lab.
func (c *ControlPlane) claimLab() (err error) {
	if err := Sweep(); err != nil {
		return err
	}
	if c.own.lab, err = network.Take(labDir()); err != nil {
		return err
	}
	c.labAddress = c.own.lab.Machine()
	return nil
}

// releaseLab removes what the nodes leave when they have ended.
func (c *ControlPlane) releaseLab() error {
	if c.own.lab == nil {
		return nil
	}
	err := cgroup.Remove(cgroup.Root, c.own.lab.Lab)
	c.own.lab.Release()
	return err
}

// labSteps are the steps of real nodes. imageStore and the switch need no running server.
func (c *ControlPlane) labSteps() []step {
	var store string
	steps := []step{
		{name: ImageStore, run: func(ctx context.Context) (err error) {
			store, err = c.imageStore(ctx)
			return err
		}},
		{name: NodeNetwork, run: c.runs(c.nodeNetwork)},
		{name: "door", after: []string{NodeNetwork}, run: func(context.Context) error { return errors.Join(c.openDoor(), c.serveGuests()) }},
		{name: "node objects", after: []string{KubeAPIServer, "door"}, run: c.applyNodeObjects},
		{name: NodeVolumes, after: []string{KubeAPIServer}, run: c.runs(c.nodeVolumes)},
	}
	handlers := []string{"KubeVirt objects", KubeControllerManager, KubeScheduler}
	for i, name := range nodeNames {
		steps = append(steps, step{
			name: name, after: []string{"node objects", ImageStore},
			run: c.runs(func(context.Context) (component, error) { return c.realNode(name, i+1, store) }),
		})
		handlers = append(handlers, name)
	}
	return append(steps, step{name: "virt-handler", after: handlers, run: c.waitHandlers})
}

// imageStore makes the store of images that the nodes copy, unless it is there.
func (c *ControlPlane) imageStore(ctx context.Context) (string, error) {
	command := exec.CommandContext(ctx, c.Binary(realProgram), "images", flag("images", c.options.ImageDir),
		flag("store", filepath.Join(filepath.Dir(c.options.ImageDir), "store")), flag("bin-dir", c.options.BinDir))
	var stdout bytes.Buffer
	lines := &reportWriter{report: c.report}
	command.Stdout, command.Stderr = &stdout, lines
	command.SysProcAttr = childAttributes()
	command.WaitDelay = time.Second
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("images of the nodes: %w: %s", err, lines.last)
	}
	return strings.TrimSpace(stdout.String()), nil
}

// reportWriter reports whole lines.
type reportWriter struct {
	report func(string, ...any)
	last   string
}

func (w *reportWriter) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		w.last = strings.TrimSpace(line)
		w.report("%s", w.last)
	}
	return len(text), nil
}

func (c *ControlPlane) switchPIDFile() string { return c.paths.data("switch.pid") }

func (c *ControlPlane) nodeNetwork(context.Context) (component, error) {
	args := []string{
		"switch", flag("lab", strconv.Itoa(c.own.lab.Lab)), flag("nodes", strconv.Itoa(len(nodeNames))), flag("pid-file", c.switchPIDFile()),
	}
	ready := func(context.Context) error {
		_, err := os.Stat(c.switchPIDFile())
		return err
	}
	return component{name: NodeNetwork, program: realProgram, args: args, ready: ready, tier: tierAPI, grace: 2 * time.Second}, nil
}

// openDoor lets nodes and pods reach kube-apiserver, which listens on the loopback interface only, under the machine's
// address in the lab's network.
func (c *ControlPlane) openDoor() error {
	address := netip.AddrPortFrom(c.labAddress, uint16(c.ports.KubeAPIServer))
	listener, err := net.Listen("tcp", address.String())
	if err != nil {
		return fmt.Errorf("door of the lab's network: %w", err)
	}
	target := net.JoinHostPort("127.0.0.1", strconv.Itoa(c.ports.KubeAPIServer))
	stop := context.AfterFunc(c.own.context, func() { _ = listener.Close() })
	c.own.loops.Go(func() {
		defer stop()
		for {
			connection, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			c.own.loops.Go(func() { passOn(c.own.context, connection, target) })
		}
	})
	return nil
}

// passOn copies between a connection and the target until either side is done.
func passOn(ctx context.Context, connection net.Conn, target string) {
	defer func() { _ = connection.Close() }()
	var dialer net.Dialer
	onward, err := dialer.DialContext(ctx, "tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = onward.Close() }()
	stop := context.AfterFunc(ctx, func() { _, _ = connection.Close(), onward.Close() })
	defer stop()
	back := make(chan struct{})
	go func() {
		defer close(back)
		copyHalf(connection, onward)
	}()
	copyHalf(onward, connection)
	<-back
}

// copyHalf copies one direction and passes on its end.
func copyHalf(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// nodeDir is the folder of a node: its disk.
func (c *ControlPlane) nodeDir(name string) string {
	return filepath.Join(c.options.StateDir, "nodes", name)
}

// volumesDir is where the folders of PersistentVolumes are.
func (c *ControlPlane) volumesDir() string { return filepath.Join(c.options.StateDir, "volumes") }

func (c *ControlPlane) realNode(name string, index int, store string) (component, error) {
	runc, err := exec.LookPath("runc")
	if err != nil {
		return component{}, fmt.Errorf("node %s: %w", name, err)
	}
	config := node.Config{
		Name: name, Index: index, Nodes: len(nodeNames), Lab: c.own.lab.Lab, SwitchPIDFile: c.switchPIDFile(),
		Services: netip.MustParsePrefix(serviceCIDR), BinDir: c.options.BinDir, Dir: c.nodeDir(name), ImageStore: store,
		Volumes: c.volumesDir(), ClusterDNS: netip.MustParseAddr(clusterDNS), CNIDir: cniDir, Runc: runc,
	}
	if err := config.Save(); err != nil {
		return component{}, err
	}
	if err := c.writeNodeCredentials(config, index); err != nil {
		return component{}, fmt.Errorf("node %s: %w", name, err)
	}
	return component{
		name: name, program: realProgram, args: []string{"run", flag("dir", config.Dir)},
		ready: func(ctx context.Context) error { return c.nodeReady(ctx, name) }, tier: tierNodes, grace: 5 * time.Second,
	}, nil
}

// writeNodeCredentials gives a node the identity that Kubernetes expects of it (the groups and names of the Node
// authorizer and of system:node-proxier).
func (c *ControlPlane) writeNodeCredentials(config node.Config, index int) error {
	dir := config.Credentials()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	address := c.own.lab.Node(index)
	certPEM, keyPEM, err := c.cas[clusterCA].issue(certRequest{
		commonName: "system:node:" + config.Name, dnsNames: []string{config.Name}, addresses: []netip.Addr{address}, server: true,
	})
	if err != nil {
		return err
	}
	if err := writePair(dir, "kubelet", certPEM, keyPEM); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "cluster-ca.crt"), c.clusterCAPEM, 0o600); err != nil {
		return err
	}
	server := "https://" + netip.AddrPortFrom(c.labAddress, uint16(c.ports.KubeAPIServer)).String()
	for file, identity := range map[string]certRequest{
		"kubelet":    {commonName: "system:node:" + config.Name, organizations: []string{"system:nodes"}},
		"kube-proxy": {commonName: "system:kube-proxy"},
	} {
		user, err := certificateUser(c.cas[clusterCA], identity.commonName, identity.organizations)
		if err != nil {
			return err
		}
		if err := writeKubeconfig(filepath.Join(dir, file+".kubeconfig"), server, c.clusterCAPEM, user); err != nil {
			return err
		}
	}
	return nil
}

func (c *ControlPlane) nodeReady(ctx context.Context, name string) error {
	object, err := c.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("node %s is not ready", name)
}

// waitHandlers waits for virt-handler on every node. KubeVirt gives no machine to a node before.
func (c *ControlPlane) waitHandlers(ctx context.Context) error {
	begin := time.Now()
	err := waitFor(ctx, 2*probeInterval, func(ctx context.Context) error {
		nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: "kubevirt.io/schedulable=true"})
		if err != nil {
			return err
		}
		if len(nodes.Items) < len(nodeNames) {
			return fmt.Errorf("KubeVirt uses %d of %d nodes", len(nodes.Items), len(nodeNames))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("virt-handler: %w", err)
	}
	c.report("%-26s ready in %4.1f s", "virt-handler", time.Since(begin).Seconds())
	return nil
}

func (c *ControlPlane) nodeVolumes(ctx context.Context) (component, error) {
	if err := c.Apply(ctx, nodeVolumesManifest); err != nil {
		return component{}, err
	}
	kubeconfig, err := c.serviceAccountKubeconfig(ctx, labNamespace, "volumes")
	if err != nil {
		return component{}, err
	}
	args := []string{"volumes", flag("kubeconfig", kubeconfig), flag("folder", c.volumesDir())}
	return component{name: NodeVolumes, program: realProgram, args: args, tier: tierNodes, grace: 2 * time.Second}, nil
}
