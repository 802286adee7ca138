// Command helm is what a test needs of Helm: install, upgrade and uninstall, each until everything is ready or gone. It is
// made of Helm's own packages. The tool itself has many more, which would take minutes to build.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/loader"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/release"
	"helm.sh/helm/v4/pkg/strvals"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

const usage = "helm [--namespace NAMESPACE] [--timeout DURATION] install|upgrade RELEASE CHART [--set KEY=VALUE,...] | uninstall RELEASE"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "helm:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("helm", flag.ContinueOnError)
	namespace := flags.String("namespace", "default", "namespace of the release")
	timeout := flags.Duration("timeout", time.Minute, "how long to wait")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() < 2 {
		return errors.New(usage)
	}
	client := genericclioptions.NewConfigFlags(true)
	client.Namespace = namespace
	configuration := action.NewConfiguration(action.ConfigurationSetLogger(slog.NewTextHandler(os.Stderr, nil)))
	if err := configuration.Init(client, *namespace, "secret"); err != nil {
		return err
	}
	h := helm{configuration: configuration, namespace: *namespace, timeout: *timeout, out: out}
	verb, name, rest := flags.Arg(0), flags.Arg(1), flags.Args()[2:]
	if verb == "uninstall" {
		return h.uninstall(name)
	}
	if len(rest) == 0 {
		return errors.New(usage)
	}
	loaded, err := loader.Load(rest[0])
	if err != nil {
		return err
	}
	set := flag.NewFlagSet(verb, flag.ContinueOnError)
	given := set.String("set", "", "values")
	if err := set.Parse(rest[1:]); err != nil {
		return err
	}
	values, err := strvals.Parse(*given)
	if err != nil {
		return err
	}
	switch verb {
	case "install":
		return h.install(ctx, name, loaded, values)
	case "upgrade":
		return h.upgrade(ctx, name, loaded, values)
	default:
		return errors.New(usage)
	}
}

// helm is Helm for one namespace.
type helm struct {
	configuration *action.Configuration
	namespace     string
	timeout       time.Duration
	out           io.Writer
}

func (h helm) install(ctx context.Context, name string, loaded chart.Charter, values map[string]any) error {
	install := action.NewInstall(h.configuration)
	install.ReleaseName, install.Namespace = name, h.namespace
	install.Timeout, install.WaitStrategy = h.timeout, kube.StatusWatcherStrategy
	made, err := install.RunWithContext(ctx, loaded, values)
	if err != nil {
		return err
	}
	return h.report(made)
}

func (h helm) upgrade(ctx context.Context, name string, loaded chart.Charter, values map[string]any) error {
	upgrade := action.NewUpgrade(h.configuration)
	upgrade.Namespace = h.namespace
	upgrade.Timeout, upgrade.WaitStrategy = h.timeout, kube.StatusWatcherStrategy
	made, err := upgrade.RunWithContext(ctx, name, loaded, values)
	if err != nil {
		return err
	}
	return h.report(made)
}

func (h helm) uninstall(name string) error {
	uninstall := action.NewUninstall(h.configuration)
	uninstall.Timeout, uninstall.WaitStrategy = h.timeout, kube.StatusWatcherStrategy
	_, err := uninstall.Run(name)
	return err
}

func (h helm) report(made release.Releaser) error {
	accessor, err := release.NewAccessor(made)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(h.out, "%s revision %d: %s\n", accessor.Name(), accessor.Version(), accessor.Status())
	return err
}
