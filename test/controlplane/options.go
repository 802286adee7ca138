package controlplane

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// EnvironmentVariable names the variable that holds the state directory of a running
// control plane that tests should share. FromEnvironment reads it.
const EnvironmentVariable = "VIRTUALSERVER_CONTROLPLANE"

// DefaultNodeMonitorGracePeriod is how long a node may be silent before
// kube-controller-manager calls it NotReady. Kubernetes has 50 s; tests should not wait
// that long.
const DefaultNodeMonitorGracePeriod = 8 * time.Second

// Options say what to start and where. The zero value starts everything with its state
// under _output/state of the repository.
type Options struct {
	// StateDir holds certificates, data and logs. Start empties the parts that it
	// owns. Default: _output/state in the repository.
	StateDir string
	// BinDir holds the programs. Default: _output/bin in the repository.
	BinDir string
	// DeployDir holds the product's manifests. Default: artifacts/deploy.
	DeployDir string
	// Kubeconfig is where the administrator's kubeconfig goes. Default:
	// StateDir/kubeconfig.
	Kubeconfig string
	// Log receives one line for each component that becomes ready. Nil discards them.
	Log io.Writer
	// WithoutProduct starts all but virtualserver-apiserver.
	WithoutProduct bool
	// ImageDir holds the image archives of real nodes. Default: _output/node/images in the repository.
	ImageDir string
	// Nodes chooses what machines run on. Default: AutoNodes.
	Nodes Nodes
	// WithoutNodeAgent starts no nodes: nothing then runs pods or machines.
	WithoutNodeAgent bool
	// ProductArgs are added to the product's own arguments and win over them.
	ProductArgs []string
	// NodeAgentArgs are added to the node agent's arguments.
	NodeAgentArgs []string
	// KubeAPIServerArgs are added to kube-apiserver's arguments.
	KubeAPIServerArgs []string
	// SyncWrites makes the cluster's etcd write to the disk before it answers. Off, since
	// the cluster is made anew at each start and surviving a power cut has no value.
	SyncWrites bool
	// NodeMonitorGracePeriod defaults to DefaultNodeMonitorGracePeriod and must be at
	// least 1 s.
	NodeMonitorGracePeriod time.Duration
	// StartTimeout bounds the whole start. Default: 5 minutes, for machines that are busy
	// with other things; an idle one needs half a minute at most.
	StartTimeout time.Duration
}

// complete fills the defaults and makes every path absolute, because children run in
// the state directory.
func (o *Options) complete() error {
	if o.StateDir == "" || o.BinDir == "" || o.DeployDir == "" || o.ImageDir == "" {
		root, err := RepositoryRoot()
		if err != nil {
			return err
		}
		setDefault(&o.StateDir, filepath.Join(root, "_output", "state"))
		setDefault(&o.BinDir, filepath.Join(root, "_output", "bin"))
		setDefault(&o.ImageDir, filepath.Join(root, "_output", "node", "images"))
		setDefault(&o.DeployDir, filepath.Join(root, "artifacts", "deploy"))
	}
	setDefault(&o.Kubeconfig, filepath.Join(o.StateDir, "kubeconfig"))
	for _, path := range []*string{&o.StateDir, &o.BinDir, &o.DeployDir, &o.ImageDir, &o.Kubeconfig} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.NodeMonitorGracePeriod == 0 {
		o.NodeMonitorGracePeriod = DefaultNodeMonitorGracePeriod
	}
	if o.NodeMonitorGracePeriod < time.Second {
		return fmt.Errorf("node monitor grace period %v is shorter than 1s", o.NodeMonitorGracePeriod)
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = 5 * time.Minute
	}
	return nil
}

func setDefault(value *string, fallback string) {
	if *value == "" {
		*value = fallback
	}
}

// RepositoryRoot finds the folder that holds the project's go.mod, from the working
// directory upwards. The nested modules below test/controlplane do not count.
func RepositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, modErr := os.Stat(filepath.Join(dir, "go.mod"))
		_, cmdErr := os.Stat(filepath.Join(dir, "test", "controlplane", "options.go"))
		if modErr == nil && cmdErr == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside the virtualserver repository: set the state, binary and deploy directories")
		}
		dir = parent
	}
}
