package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/kubernetes/scheme"

	"tensorstack.dev/virtualserver/cmd/kubectl-vs/await"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// operation is one of the commands that change the state of a machine.
type operation struct {
	*session
	subresource string
	// past is what the command says when the server has accepted it.
	past string
	// goal is where the operation leads the machine, which is given as it was before.
	goal func(before *v1beta1.VirtualServer) await.Goal
	body func() any
	// check refuses flags that make no sense, before anything is asked of the server. It may be nil.
	check func() error
	// needless says that the machine is where the operation leads, and in which words; nil for one that is never needless.
	needless func(before *v1beta1.VirtualServer) (string, bool)
	// ifNeeded is the flag that makes a needless operation no error.
	ifNeeded bool

	wait    bool
	timeout time.Duration
	dryRun  string
	printer *genericclioptions.PrintFlags
}

func (s *session) startCommand() *cobra.Command {
	var paused bool
	o := &operation{session: s, subresource: "start", past: "starting", goal: func(*v1beta1.VirtualServer) await.Goal {
		return await.Running(paused)
	}}
	o.body = func() any { return &v1beta1.StartOptions{Paused: paused, DryRun: o.dryRuns()} }
	o.needless = func(vs *v1beta1.VirtualServer) (string, bool) { return "runs already", await.RunsAlready(vs) }
	command := o.command("start NAME...", "Start a machine", "  kubectl vs start my-vs --wait\n  kubectl vs start web db --if-needed\n  kubectl vs start -l team=blue")
	command.Flags().BoolVar(&paused, "paused", false, "start the machine paused")
	return command
}

func (s *session) stopCommand() *cobra.Command {
	var force bool
	var grace int64
	o := &operation{session: s, subresource: "stop", past: "stopping", goal: func(before *v1beta1.VirtualServer) await.Goal {
		return await.Stopped(before.Status.VM.InstanceUID)
	}}
	o.needless = func(vs *v1beta1.VirtualServer) (string, bool) { return "is stopped already", await.IsStopped(vs) }
	command := o.command("stop NAME...", "Stop a machine", "  kubectl vs stop my-vs --wait\n  kubectl vs stop my-vs --force")
	command.Flags().BoolVar(&force, "force", false, "kill the guest at once")
	command.Flags().Int64Var(&grace, "grace-period", -1, "seconds that the guest may take to shut down; -1 for the machine's own grace period")
	o.check = func() error { return checkGrace(grace) }
	o.body = func() any {
		return &v1beta1.StopOptions{Force: force, GracePeriodSeconds: seconds(grace), DryRun: o.dryRuns()}
	}
	return command
}

func (s *session) restartCommand() *cobra.Command {
	var force bool
	o := &operation{session: s, subresource: "restart", past: "restarting", goal: func(before *v1beta1.VirtualServer) await.Goal {
		return await.Restarted(before.Status.VM.InstanceUID)
	}}
	command := o.command("restart NAME...", "Restart a machine", "  kubectl vs restart my-vs --wait")
	command.Flags().BoolVar(&force, "force", false, "kill the guest at once")
	o.body = func() any { return &v1beta1.RestartOptions{Force: force, DryRun: o.dryRuns()} }
	return command
}

func (s *session) pauseCommand() *cobra.Command {
	o := &operation{session: s, subresource: "pause", past: "pausing", goal: func(before *v1beta1.VirtualServer) await.Goal {
		return await.Paused(before.Status.VM.InstanceUID)
	}}
	o.body = func() any { return map[string]any{"dryRun": o.dryRuns()} }
	return o.command("pause NAME...", "Pause a machine: it keeps its memory and gets no CPU", "  kubectl vs pause my-vs")
}

func (s *session) unpauseCommand() *cobra.Command {
	o := &operation{session: s, subresource: "unpause", past: "unpausing", goal: func(before *v1beta1.VirtualServer) await.Goal {
		return await.Unpaused(before.Status.VM.InstanceUID)
	}}
	o.body = func() any { return map[string]any{"dryRun": o.dryRuns()} }
	return o.command("unpause NAME...", "Let a paused machine go on", "  kubectl vs unpause my-vs")
}

func (o *operation) command(use, short, example string) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short, Example: example}
	machines := &some{}
	machines.flags(o.session, command)
	o.printer = genericclioptions.NewPrintFlags(o.past).WithTypeSetter(scheme.Scheme)
	command.Flags().BoolVar(&o.wait, "wait", false, "wait until the machine is there, and show progress")
	command.Flags().DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long to wait at most")
	command.Flags().StringVar(&o.dryRun, "dry-run", "none", `"server" checks the operation without carrying it out`)
	if o.needless != nil {
		command.Flags().BoolVar(&o.ifNeeded, "if-needed", false, "succeed if there is nothing to do")
	}
	o.printer.AddFlags(command)
	command.RunE = func(command *cobra.Command, arguments []string) error {
		printer, err := o.checked()
		if err != nil {
			return err
		}
		names, err := machines.names(command.Context(), o.session, arguments)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			namespace, err := o.namespace()
			fmt.Fprintf(o.ErrOut, "No VirtualServers found in namespace %s.\n", namespace)
			return err
		}
		return o.run(command.Context(), names, printer)
	}
	return command
}

// checked refuses flags that make no sense, and returns what prints the machines, nil for words.
func (o *operation) checked() (printers.ResourcePrinter, error) {
	if err := checkDryRun(o.dryRun, "none", "server"); err != nil {
		return nil, err
	}
	if o.check != nil {
		if err := o.check(); err != nil {
			return nil, err
		}
	}
	return printerOf(o.printer)
}

// run asks for the operation at all machines, and only then waits for each.
func (o *operation) run(ctx context.Context, names []string, printer printers.ResourcePrinter) error {
	type asked struct {
		before *v1beta1.VirtualServer
		// says is that nothing had to be done, or empty.
		says string
	}
	accepted := map[string]asked{}
	refused := o.forEach(names, func(name string) error {
		before, err := o.get(ctx, name)
		if err != nil {
			return err
		}
		says, needless := "", false
		if o.ifNeeded {
			says, needless = o.needless(before)
		}
		if !needless {
			says = ""
			if err := o.post(ctx, name); err != nil {
				return err
			}
		}
		accepted[name] = asked{before, says}
		return nil
	})
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { _, ok := accepted[name]; return !ok })
	if len(names) == 0 {
		return refused
	}
	unfinished := o.forEach(names, func(name string) error {
		if asked := accepted[name]; asked.says != "" {
			return o.printNeedless(asked.before, asked.says, printer)
		}
		return o.finish(ctx, name, accepted[name].before, printer, len(names) > 1)
	})
	return errors.Join(refused, unfinished)
}

// finish waits for an operation that was accepted, if that is wanted, and says what happened. among says that it is one of several.
func (o *operation) finish(ctx context.Context, name string, before *v1beta1.VirtualServer, printer printers.ResourcePrinter, among bool) error {
	if o.dryRun == "none" && o.wait {
		what := fmt.Sprintf("%s %s", strings.ToLower(o.past), name)
		if among {
			fmt.Fprintf(o.ErrOut, "%s:\n", name)
		}
		goal := o.goal(before)
		if err := o.waitFor(ctx, name, what, o.timeout, func(now *v1beta1.VirtualServer) await.Verdict {
			goal.Follow(typeOf(o.subresource), now)
			return goal.Judge(now)
		}); err != nil {
			return err
		}
	}
	return o.print(ctx, name, before, printer)
}

// typeOf returns the type of operation that a subresource asks for.
func typeOf(subresource string) v1beta1.OperationType {
	return map[string]v1beta1.OperationType{
		"start": v1beta1.OperationStart, "stop": v1beta1.OperationStop, "restart": v1beta1.OperationRestart,
	}[subresource]
}

// post sends the operation. A read-only answer is not used: what the user sees is the machine after --wait.
func (o *operation) post(ctx context.Context, name string) error {
	body, err := json.Marshal(o.body())
	if err != nil {
		return err
	}
	group, err := o.group()
	if err != nil {
		return err
	}
	namespace, err := o.namespace()
	if err != nil {
		return err
	}
	return group.RESTClient().Post().AbsPath(resourcePath(namespace, name, o.subresource)).
		SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
}

// print says what happened: the transition of the run strategy in words, or the object in a format that was asked for.
func (o *operation) print(ctx context.Context, name string, before *v1beta1.VirtualServer, printer printers.ResourcePrinter) error {
	now, err := o.get(ctx, name)
	if err != nil {
		return err
	}
	if printer != nil {
		now.SetGroupVersionKind(v1beta1.SchemeGroupVersion.WithKind("VirtualServer"))
		return printer.PrintObj(now, o.Out)
	}
	line := fmt.Sprintf("virtualserver/%s %s", name, o.past)
	switch {
	case o.dryRun == "server":
		line += " (server dry run)"
	case o.wait:
		line = fmt.Sprintf("virtualserver/%s is %s", name, now.Status.PrintableStatus)
	}
	if from, to := before.Status.RunStrategy, now.Status.RunStrategy; from != to {
		line += fmt.Sprintf(", run strategy %s -> %s", from, to)
	}
	_, err = fmt.Fprintln(o.Out, line)
	return err
}

// printNeedless says that nothing was done.
func (o *operation) printNeedless(vs *v1beta1.VirtualServer, says string, printer printers.ResourcePrinter) error {
	if printer != nil {
		vs.SetGroupVersionKind(v1beta1.SchemeGroupVersion.WithKind("VirtualServer"))
		return printer.PrintObj(vs, o.Out)
	}
	_, err := fmt.Fprintf(o.Out, "virtualserver/%s %s\n", vs.Name, says)
	return err
}

// printerOf is what prints the object in the format that was asked for, or nil if none was. It is made before anything is done: an
// error afterwards would look as if nothing had happened.
func printerOf(flags *genericclioptions.PrintFlags) (printers.ResourcePrinter, error) {
	if text(flags.OutputFormat) == "" && text(flags.TemplatePrinterFlags.TemplateArgument) == "" {
		return nil, nil
	}
	return flags.ToPrinter()
}

// checkDryRun accepts only what a command knows: a word that is misspelt would carry the operation out.
func checkDryRun(value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	last := len(known) - 1
	return fmt.Errorf("--dry-run is %s or %s, not %q", strings.Join(known[:last], ", "), known[last], value)
}

func (o *operation) dryRuns() []string {
	if o.dryRun == "server" {
		return []string{metav1.DryRunAll}
	}
	return nil
}

func seconds(value int64) *int64 {
	if value < 0 {
		return nil
	}
	return &value
}
