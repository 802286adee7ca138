// Command nodeagent stands in for hypervisor nodes: kubelet, virt-handler, disk
// provisioner and import workers in one process. See test/nodeagent/README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/test/nodeagent/agent"
	"tensorstack.dev/virtualserver/test/nodeagent/handler"
	"tensorstack.dev/virtualserver/test/nodeagent/importer"
	"tensorstack.dev/virtualserver/test/nodeagent/node"
	"tensorstack.dev/virtualserver/test/nodeagent/simguest"
)

// kubevirtUser is the account that the agent acts as towards KubeVirt when it
// is not given a kubeconfig of that account.
const kubevirtUser = "system:serviceaccount:kubevirt:kubevirt-controller"

// Many machines start at once in tests; the control plane is next door.
const (
	clientQPS   = 400
	clientBurst = 800
)

type options struct {
	kubeconfig, kubevirtKubeconfig string
	address                        string
	port                           int
	tls, kubelet                   handler.TLSFiles
	kubeletPort                    int32
	nodes                          []string
	heartbeat                      time.Duration
	extended                       map[string]int64
	boot, shutdown                 time.Duration
	imports                        importer.Options
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	klog.Flush()
	if err != nil {
		fmt.Fprintln(os.Stderr, "nodeagent:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:           "nodeagent",
		Short:         "Stands in for hypervisor nodes on a control plane without any",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := o.config()
			if err != nil {
				return err
			}
			return agent.Run(command.Context(), config)
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of the agent: nodes, pods, volumes, events")
	flags.StringVar(&o.kubevirtKubeconfig, "kubevirt-kubeconfig", "",
		"kubeconfig of KubeVirt's ServiceAccount kubevirt-controller; without it the agent impersonates that account")
	flags.StringVar(&o.address, "bind-address", "127.0.0.1", "address on which virt-api reaches the machines of every node")
	flags.IntVar(&o.port, "secure-port", 8186, "port for virt-api, the value of its --console-server-port")
	flags.IntVar(&o.port, "console-port", 8186, "the same as --secure-port")
	flags.StringVar(&o.tls.Cert, "tls-cert-file", "", "serving certificate; its common name is kubevirt.io:system:node:virt-handler")
	flags.StringVar(&o.tls.Key, "tls-private-key-file", "", "key of the serving certificate")
	flags.StringVar(&o.tls.ClientCA, "client-ca-file", "", "CA of virt-api's client certificate")
	flags.Int32Var(&o.kubeletPort, "kubelet-port", 10250, "port on which kube-apiserver asks for the logs of pods")
	flags.StringVar(&o.kubelet.Cert, "kubelet-tls-cert-file", "", "serving certificate of that port, from the CA in kube-apiserver's --kubelet-certificate-authority")
	flags.StringVar(&o.kubelet.Key, "kubelet-tls-private-key-file", "", "key of that certificate")
	flags.StringVar(&o.kubelet.ClientCA, "kubelet-client-ca-file", "", "CA of kube-apiserver's client certificate")
	flags.StringSliceVar(&o.nodes, "nodes", []string{"node-a", "node-b"}, "nodes to make where they do not exist")
	flags.DurationVar(&o.heartbeat, "heartbeat", time.Second, "time between two renewals of a node's Lease")
	flags.StringToInt64Var(&o.extended, "extended-resources", map[string]int64{"nvidia.com/GA100_A100_PCIE_40GB": 8},
		"further resources of every node")
	flags.DurationVar(&o.boot, "boot-duration", 150*time.Millisecond, "time that a simulated guest takes to boot")
	flags.DurationVar(&o.shutdown, "shutdown-duration", 100*time.Millisecond, "time that a simulated guest takes to shut down")
	flags.DurationVar(&o.imports.Duration, "import-duration", 200*time.Millisecond, "time that an import or a clone takes")
	flags.DurationVar(&o.imports.Backoff, "import-backoff", time.Second, "wait before the second restart of a failing import; it doubles")
	flags.DurationVar(&o.imports.BackoffMax, "import-backoff-max", 10*time.Second, "longest wait before such a restart")
	logFlags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(logFlags)
	flags.AddGoFlag(logFlags.Lookup("v"))
	flags.AddGoFlag(logFlags.Lookup("vmodule"))
	for _, name := range []string{
		"tls-cert-file", "tls-private-key-file", "client-ca-file",
		"kubelet-tls-cert-file", "kubelet-tls-private-key-file", "kubelet-client-ca-file",
	} {
		if err := command.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return command
}

func (o options) config() (agent.Config, error) {
	own, err := load(o.kubeconfig)
	if err != nil {
		return agent.Config{}, fmt.Errorf("--kubeconfig: %w", err)
	}
	kubevirt := rest.CopyConfig(own)
	if o.kubevirtKubeconfig != "" {
		if kubevirt, err = load(o.kubevirtKubeconfig); err != nil {
			return agent.Config{}, fmt.Errorf("--kubevirt-kubeconfig: %w", err)
		}
	} else {
		kubevirt.Impersonate = rest.ImpersonationConfig{
			UserName: kubevirtUser,
			Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:kubevirt", "system:authenticated"},
		}
	}
	return agent.Config{
		Agent: own, KubeVirt: kubevirt,
		Address: o.address, Port: o.port, TLS: o.tls, Kubelet: o.kubelet,
		Nodes: node.Options{
			Names: o.nodes, Heartbeat: o.heartbeat, Address: o.address, KubeletPort: o.kubeletPort, Extended: o.extended,
		},
		Import:     o.imports,
		Hypervisor: simguest.New(simguest.Options{Boot: o.boot, Shutdown: o.shutdown}),
	}, nil
}

// load reads a kubeconfig by the usual rules: the file, $KUBECONFIG, or the
// cluster that the process runs in.
func load(path string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = clientQPS, clientBurst
	config.UserAgent = "nodeagent"
	return config, nil
}
