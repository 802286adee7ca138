// Package node runs a node: the process that stays in the machine's namespaces, the first process inside, and the servers
// that it starts.
package node

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"tensorstack.dev/virtualserver/test/realnode/cgroup"
	"tensorstack.dev/virtualserver/test/realnode/network"
)

// Config says what one node is. The launcher of the control plane writes it to a file.
type Config struct {
	// Name is the node's name in Kubernetes.
	Name string `json:"name"`
	// Index is the node's number in the lab, from 1 to Nodes.
	Index int `json:"index"`
	// Nodes is how many nodes the lab has.
	Nodes int `json:"nodes"`
	// Lab is the number of the lab on this machine.
	Lab int `json:"lab"`
	// SwitchPIDFile holds the process number of the lab's switch.
	SwitchPIDFile string `json:"switchPIDFile"`
	// Services is the network of the cluster's Services.
	Services netip.Prefix `json:"services"`
	// BinDir holds kube, containerd and its shim.
	BinDir string `json:"binDir"`
	// Dir is the node's own folder, where this configuration is too. Inside, it has the same path.
	Dir string `json:"-"`
	// ImageStore is the folder that the node's image store is a copy of.
	ImageStore string `json:"imageStore"`
	// Volumes is the folder of the PersistentVolumes, the same for every node.
	Volumes string `json:"volumes"`
	// ClusterDNS is the address of the cluster's name server.
	ClusterDNS netip.Addr `json:"clusterDNS"`
	// Devices lists further devices of the machine that the node may use, such as /dev/kvm.
	Devices []string `json:"devices,omitempty"`
	// CNIDir holds the CNI plugins.
	CNIDir string `json:"cniDir"`
	// Runc is the path of runc.
	Runc string `json:"runc"`
}

// configFile is the name of the configuration in a node's folder.
const configFile = "config.json"

// Load reads the configuration of the node whose folder is dir.
func Load(dir string) (Config, error) {
	text, err := os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		return Config{}, fmt.Errorf("configuration of the node: %w", err)
	}
	config := Config{}
	if err := json.Unmarshal(text, &config); err != nil {
		return Config{}, fmt.Errorf("configuration of the node in %s: %w", dir, err)
	}
	config.Dir = dir
	return config, nil
}

// Save writes the configuration into the node's folder, and makes the folder.
func (c Config) Save() error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.Dir, configFile), text, 0o600)
}

// Credentials is the folder that holds kubelet.crt, kubelet.key, cluster-ca.crt, kubelet.kubeconfig and
// kube-proxy.kubeconfig before the node starts.
func (c Config) Credentials() string { return filepath.Join(c.Dir, "credentials") }

// Log is the log of one of the node's servers: containerd, kubelet, kube-proxy or supervisor.
func (c Config) Log(name string) string { return filepath.Join(c.Dir, "logs", name+".log") }

// Hold is a file. While it exists, the server of the node is kept down.
func (c Config) Hold(name string) string { return filepath.Join(c.Dir, "hold-"+name) }

func (c Config) plan() network.Plan { return network.Plan{Lab: c.Lab} }

func (c Config) cgroup() string { return cgroup.Name(c.Lab, c.Name) }

func (c Config) data(name string) string { return filepath.Join(c.Dir, "data", name) }

func (c Config) file(name string) string { return filepath.Join(c.Dir, name) }

// credential is a file of Credentials.
func (c Config) credential(name string) string { return filepath.Join(c.Credentials(), name) }

// root is where the node's root file system is mounted. It is beside Dir, not below: Dir is shown inside.
func (c Config) root() string { return c.Dir + ".root" }
