// Command kube is a real Kubernetes, its etcd and its node programs included, in
// one binary.
// The first argument, or the name that the binary is called by, selects the
// program; the arguments that follow are that program's own.
//
// One binary instead of seven links the shared code once, which keeps both the
// build time and the size on disk small.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	_ "time/tzdata" // CronJobs may name a time zone.

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // The credential plugins of kubeconfig files.
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"          // The JSON log format.
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // Metrics of client-go.
	_ "k8s.io/component-base/metrics/prometheus/version"  // The build_info metric.
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// programs lists the programs in the order that the usage text shows.
func programs() []string {
	return []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"}
}

// selectProgram returns the program to run and its arguments, which begin with
// the program's name as os.Args does.
func selectProgram(args []string) (string, []string, error) {
	if len(args) > 0 {
		if name := strings.TrimSuffix(filepath.Base(args[0]), ".exe"); slices.Contains(programs(), name) {
			return name, append([]string{name}, args[1:]...), nil
		}
	}
	if len(args) < 2 {
		return "", nil, fmt.Errorf("no program named; the first argument must be one of: %s", strings.Join(programs(), ", "))
	}
	if !slices.Contains(programs(), args[1]) {
		return "", nil, fmt.Errorf("unknown program %q; the first argument must be one of: %s", args[1], strings.Join(programs(), ", "))
	}
	return args[1], args[1:], nil
}

func main() {
	name, args, err := selectProgram(os.Args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kube:", err)
		os.Exit(2)
	}
	// The programs read os.Args themselves, so they must see it as if each
	// had been started under its own name. kubectl looks for its plugins by
	// the name in os.Args[0] too.
	os.Args = args
	switch name {
	case "etcd":
		etcdmain.Main(args)
	case "kube-apiserver":
		os.Exit(run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(run(controllermanager.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(run(scheduler.NewSchedulerCommand()))
	case "kubelet":
		os.Exit(run(kubelet.NewKubeletCommand(context.Background())))
	case "kube-proxy":
		os.Exit(run(proxy.NewProxyCommand()))
	case "kubectl":
		kubectl(args)
	}
}

// run executes a server's command and returns the exit code.
func run(command *cobra.Command) int {
	return cli.Run(command)
}

// kubectl runs the client. Its log level is set before its command is built,
// because building it already finds plugins and reads the kuberc file.
func kubectl(args []string) {
	if _, err := logs.GlogSetter(cmd.GetLogVerbosity(args)); err != nil {
		fmt.Fprintln(os.Stderr, "kubectl: log level:", err)
	}
	util.CheckErr(cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()))
}
