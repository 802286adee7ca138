package node

import (
	"encoding/json"
	"fmt"
)

// containerdSocket is where the kubelet finds containerd, inside the node.
const containerdSocket = "/run/containerd/containerd.sock"

// PauseImage is the image that holds a pod's namespaces.
const PauseImage = "docker.io/local/pause:lab"

// maxPods bounds the pods of a node. Two cores carry a handful of guests; the rest is room for tests of quota.
const maxPods = 60

// files are the configuration files of the node's servers, by name below Dir.
func (c Config) files() (map[string]string, error) {
	kubelet, err := json.MarshalIndent(c.kubelet(), "", "  ")
	if err != nil {
		return nil, err
	}
	proxy, err := json.MarshalIndent(c.kubeProxy(), "", "  ")
	if err != nil {
		return nil, err
	}
	cni, err := json.MarshalIndent(c.cni(), "", "  ")
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"kubelet.json": string(kubelet), "kube-proxy.json": string(proxy),
		"cni/10-pods.conflist": string(cni), "containerd.toml": c.containerd(),
		// Pods that ask for the node's name servers get none: the machine's are not for them.
		"resolv.conf": "",
	}, nil
}

// containerd's configuration. Without the right to lower a process's OOM score the runtime must not try; devices of a
// pod belong to its user, because KubeVirt's launcher is not root.
func (c Config) containerd() string {
	return fmt.Sprintf(`version = 3
root = %[1]q
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.differ.v1.erofs", "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = %[2]q
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = %[3]q
[plugins."io.containerd.cri.v1.runtime"]
  device_ownership_from_security_context = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = [%[4]q]
    conf_dir = %[5]q
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = %[6]q
        SystemdCgroup = false
`, c.data("containerd"), containerdSocket, PauseImage, c.CNIDir, c.file("cni"), c.Runc)
}

func (c Config) kubelet() map[string]any {
	return map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		// Machines with the older cgroups are still common.
		"failCgroupV1": false, "cgroupDriver": "cgroupfs", "cgroupRoot": "/" + c.cgroup(), "cgroupsPerQOS": true,
		"enforceNodeAllocatable": []string{"pods"}, "failSwapOn": false,
		"containerRuntimeEndpoint": "unix://" + containerdSocket,
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false}, "webhook": map[string]any{"enabled": true},
			"x509": map[string]any{"clientCAFile": c.credential("cluster-ca.crt")},
		},
		"authorization": map[string]any{"mode": "Webhook"},
		"tlsCertFile":   c.credential("kubelet.crt"), "tlsPrivateKeyFile": c.credential("kubelet.key"),
		"address": c.plan().Node(c.Index).String(), "port": 10250, "readOnlyPort": 0,
		"healthzBindAddress": "127.0.0.1", "healthzPort": 10248,
		"clusterDomain": "cluster.local", "clusterDNS": []string{c.ClusterDNS.String()}, "resolvConf": c.file("resolv.conf"),
		// A node's loss should be seen within seconds in a lab.
		"nodeStatusUpdateFrequency": "2s", "nodeStatusReportFrequency": "5s", "syncFrequency": "5s", "nodeLeaseDurationSeconds": 8,
		// The images are those that the lab brings. None may go.
		"imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
		"evictionHard": map[string]string{
			"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%",
		},
		"maxPods": maxPods, "makeIPTablesUtilChains": false, "serializeImagePulls": false,
	}
}

func (c Config) kubeProxy() map[string]any {
	return map[string]any{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
		"mode": "nftables", "hostnameOverride": c.Name, "clusterCIDR": c.plan().Network().String(),
		"clientConnection":   map[string]any{"kubeconfig": c.credential("kube-proxy.kubeconfig")},
		"healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
		// The limits of connection tracking belong to the machine.
		"conntrack": map[string]any{"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
	}
}

// cni connects each pod by a link of its own. With a bridge, answers between two pods of a node would pass by the
// translation of Service addresses unless the kernel has a module for that.
func (c Config) cni() map[string]any {
	return map[string]any{
		"cniVersion": "1.0.0", "name": "pods",
		"plugins": []any{
			map[string]any{
				"type": "ptp", "ipMasq": false, "mtu": 1500,
				"ipam": map[string]any{
					"type": "host-local", "dataDir": "/run/cni-ipam",
					"ranges": []any{[]any{map[string]any{"subnet": c.plan().Pods(c.Index).String()}}},
					"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
				},
			},
		},
	}
}
