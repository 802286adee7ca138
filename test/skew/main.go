// Command kube is a Kubernetes of an older version: kube-apiserver, kube-controller-manager and kube-scheduler in one binary. The
// first argument names the program. go.mod has the version between, oldest.mod the oldest one that is supported.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	if len(os.Args) < 2 {
		fail("no program named")
	}
	var command *cobra.Command
	switch os.Args[1] {
	case "kube-apiserver":
		command = apiserver.NewAPIServerCommand()
	case "kube-controller-manager":
		command = controllermanager.NewControllerManagerCommand()
	case "kube-scheduler":
		command = scheduler.NewSchedulerCommand()
	default:
		fail(fmt.Sprintf("unknown program %q", os.Args[1]))
	}
	command.SetArgs(known(command, os.Args[2:]))
	os.Exit(cli.Run(command))
}

// known drops the flags that this version does not have yet. The local control plane starts every version with the flags of the
// newest one.
func known(command *cobra.Command, args []string) []string {
	var kept []string
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if command.Flags().Lookup(name) == nil {
			fmt.Fprintln(os.Stderr, "kube: this version has no flag", arg)
			continue
		}
		kept = append(kept, arg)
	}
	return kept
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "kube:", message)
	os.Exit(2)
}
