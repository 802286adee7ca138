package controlplane

import (
	_ "embed"
	"fmt"
	"os"
	"strconv"
	"time"
)

//go:embed config/audit-policy.yaml
var auditPolicy []byte

const (
	serviceAccountIssuer = "https://kubernetes.default.svc"
	serviceCIDR          = "10.96.0.0/16"
)

// ports are the loopback ports of one control plane.
type ports struct {
	EtcdClient            int `json:"etcdClient"`
	EtcdPeer              int `json:"etcdPeer"`
	KubeAPIServer         int `json:"kubeAPIServer"`
	KubeControllerManager int `json:"kubeControllerManager"`
	KubeScheduler         int `json:"kubeScheduler"`
	VirtAPI               int `json:"virtAPI"`
	VirtController        int `json:"virtController"`
	VirtHandler           int `json:"virtHandler"`
	Kubelet               int `json:"kubelet"`
	CDIAPIServer          int `json:"cdiAPIServer"`
	CDIController         int `json:"cdiController"`
	Product               int `json:"product"`
	Guests                int `json:"guests"`
}

func takePorts(allocator *portAllocator) (ports, error) {
	var taken ports
	for _, port := range []*int{
		&taken.EtcdClient, &taken.EtcdPeer, &taken.KubeAPIServer, &taken.KubeControllerManager, &taken.KubeScheduler,
		&taken.VirtAPI, &taken.VirtController, &taken.VirtHandler, &taken.Kubelet, &taken.CDIAPIServer, &taken.CDIController, &taken.Product,
		&taken.Guests,
	} {
		var err error
		if *port, err = allocator.take(); err != nil {
			return ports{}, err
		}
	}
	return taken, nil
}

func loopbackURL(port int) string { return "https://127.0.0.1:" + strconv.Itoa(port) }

func flag(name, value string) string { return "--" + name + "=" + value }

func (c *ControlPlane) etcd() (component, error) {
	client, peer := loopbackURL(c.ports.EtcdClient), loopbackURL(c.ports.EtcdPeer)
	ready, err := httpsProbe{
		url: client + "/health", serverName: "localhost", rootsPEM: c.cas[etcdCA].certPEM,
		certFile: c.paths.crt("etcd-client"), keyFile: c.paths.key("etcd-client"),
	}.build()
	args := []string{
		"etcd", flag("name", "default"), flag("data-dir", c.paths.data(Etcd)),
		flag("listen-client-urls", client), flag("advertise-client-urls", client),
		flag("listen-peer-urls", peer), flag("initial-advertise-peer-urls", peer), flag("initial-cluster", "default="+peer),
		flag("cert-file", c.paths.crt("etcd-server")), flag("key-file", c.paths.key("etcd-server")),
		flag("trusted-ca-file", c.paths.crt(etcdCA)), flag("client-cert-auth", "true"),
		flag("peer-cert-file", c.paths.crt("etcd-server")), flag("peer-key-file", c.paths.key("etcd-server")),
		flag("peer-trusted-ca-file", c.paths.crt(etcdCA)), flag("peer-client-cert-auth", "true"),
		flag("unsafe-no-fsync", strconv.FormatBool(!c.options.SyncWrites)), flag("log-level", "warn"),
	}
	return component{name: Etcd, program: "kube", args: args, ready: ready, tier: tierStore, grace: 5 * time.Second}, err
}

func (c *ControlPlane) kubeAPIServer() (component, error) {
	policy := c.paths.config("audit-policy.yaml")
	if err := os.WriteFile(policy, auditPolicy, 0o600); err != nil {
		return component{}, err
	}
	ready, err := httpsProbe{url: c.server + "/readyz", serverName: "localhost", rootsPEM: c.clusterCAPEM}.build()
	args := []string{
		"kube-apiserver",
		flag("bind-address", "127.0.0.1"), flag("secure-port", strconv.Itoa(c.ports.KubeAPIServer)),
		// Set, or the server would look for an interface with a default route.
		flag("advertise-address", "127.0.0.1"),
		// Endpoints may not hold loopback addresses, so nothing can be published for the
		// Service kubernetes.
		flag("endpoint-reconciler-type", "none"), flag("service-cluster-ip-range", serviceCIDR),
		flag("etcd-servers", loopbackURL(c.ports.EtcdClient)), flag("etcd-cafile", c.paths.crt(etcdCA)),
		flag("etcd-certfile", c.paths.crt("etcd-client")), flag("etcd-keyfile", c.paths.key("etcd-client")),
		flag("tls-cert-file", c.paths.crt(KubeAPIServer)), flag("tls-private-key-file", c.paths.key(KubeAPIServer)),
		flag("client-ca-file", c.paths.crt(clusterCA)),
		flag("authorization-mode", "Node,RBAC"), flag("enable-admission-plugins", "NodeRestriction"),
		flag("allow-privileged", "true"),
		flag("service-account-issuer", serviceAccountIssuer),
		flag("service-account-key-file", c.paths.key("service-account")),
		flag("service-account-signing-key-file", c.paths.key("service-account")),
		flag("requestheader-client-ca-file", c.paths.crt(frontProxyCA)),
		flag("requestheader-allowed-names", "front-proxy-client"),
		flag("requestheader-username-headers", "X-Remote-User"), flag("requestheader-uid-headers", "X-Remote-Uid"),
		flag("requestheader-group-headers", "X-Remote-Group"), flag("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
		flag("proxy-client-cert-file", c.paths.crt("front-proxy-client")), flag("proxy-client-key-file", c.paths.key("front-proxy-client")),
		// Off: an ExternalName Service is resolved only without it.
		flag("enable-aggregator-routing", "false"),
		flag("kubelet-client-certificate", c.paths.crt("kubelet-client")), flag("kubelet-client-key", c.paths.key("kubelet-client")),
		flag("kubelet-certificate-authority", c.paths.crt(clusterCA)),
		// The names of the nodes are in no DNS.
		flag("kubelet-preferred-address-types", "InternalIP"),
		flag("audit-policy-file", policy), flag("audit-log-path", c.paths.logFile("audit")),
		flag("audit-log-maxsize", "100"), flag("audit-log-maxbackup", "3"),
		flag("profiling", "false"), flag("v", "1"),
	}
	args = append(args, c.options.KubeAPIServerArgs...)
	return component{name: KubeAPIServer, program: "kube", args: args, ready: ready, tier: tierAPI, grace: 10 * time.Second}, err
}

func (c *ControlPlane) kubeControllerManager() (component, error) {
	name := KubeControllerManager
	ready, err := httpsProbe{url: loopbackURL(c.ports.KubeControllerManager) + "/healthz", serverName: "localhost", rootsPEM: c.clusterCAPEM}.build()
	args := append(c.kubernetesClient(name, c.ports.KubeControllerManager),
		flag("controllers", "*"), flag("use-service-account-credentials", "true"),
		flag("service-account-private-key-file", c.paths.key("service-account")),
		flag("root-ca-file", c.paths.crt(clusterCA)),
		flag("cluster-signing-cert-file", c.paths.crt(clusterCA)), flag("cluster-signing-key-file", c.paths.key(clusterCA)),
		flag("requestheader-client-ca-file", c.paths.crt(frontProxyCA)), flag("client-ca-file", c.paths.crt(clusterCA)),
		flag("allocate-node-cidrs", "false"), flag("service-cluster-ip-range", serviceCIDR),
		flag("node-monitor-grace-period", c.options.NodeMonitorGracePeriod.String()), flag("node-monitor-period", "1s"),
		flag("resource-quota-sync-period", "30s"),
		flag("kube-api-qps", "200"), flag("kube-api-burst", "400"),
	)
	return component{name: name, program: "kube", args: args, ready: ready, tier: tierControllers, grace: 3 * time.Second}, err
}

func (c *ControlPlane) kubeScheduler() (component, error) {
	name := KubeScheduler
	ready, err := httpsProbe{url: loopbackURL(c.ports.KubeScheduler) + "/healthz", serverName: "localhost", rootsPEM: c.clusterCAPEM}.build()
	args := append(c.kubernetesClient(name, c.ports.KubeScheduler), flag("kube-api-qps", "200"), flag("kube-api-burst", "400"))
	return component{name: name, program: "kube", args: args, ready: ready, tier: tierControllers, grace: 3 * time.Second}, err
}

// kubernetesClient are the arguments that kube-controller-manager and kube-scheduler
// share. There is one of each, so neither elects a leader.
func (c *ControlPlane) kubernetesClient(name string, port int) []string {
	kubeconfig := c.paths.kubeconfig(name)
	return []string{
		name, flag("kubeconfig", kubeconfig), flag("authentication-kubeconfig", kubeconfig), flag("authorization-kubeconfig", kubeconfig),
		flag("bind-address", "127.0.0.1"), flag("secure-port", strconv.Itoa(port)),
		flag("tls-cert-file", c.paths.crt(name)), flag("tls-private-key-file", c.paths.key(name)),
		flag("leader-elect", "false"), flag("profiling", "false"), flag("v", "1"),
	}
}

// writeKubernetesKubeconfigs writes the kubeconfigs of those who have a client
// certificate instead of a ServiceAccount.
func (c *ControlPlane) writeKubernetesKubeconfigs() error {
	users := map[string][]string{
		"system:" + KubeControllerManager: nil,
		"system:" + KubeScheduler:         nil,
	}
	for user, groups := range users {
		info, err := certificateUser(c.cas[clusterCA], user, groups)
		if err != nil {
			return err
		}
		if err := writeKubeconfig(c.paths.kubeconfig(user[len("system:"):]), c.server, c.clusterCAPEM, info); err != nil {
			return err
		}
	}
	admin, err := certificateUser(c.cas[clusterCA], "admin", []string{"system:masters"})
	if err != nil {
		return err
	}
	c.admin = restConfig(c.server, c.clusterCAPEM, admin)
	if err := writeKubeconfig(c.options.Kubeconfig, c.server, c.clusterCAPEM, admin); err != nil {
		return fmt.Errorf("administrator: %w", err)
	}
	return nil
}
