package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/quantity"
)

func (s *session) statusCommand() *cobra.Command {
	var all bool
	printFlags := genericclioptions.NewPrintFlags("").WithTypeSetter(scheme.Scheme)
	command := s.namedOrAll(&cobra.Command{
		Use:     "status [NAME]",
		Short:   "Show the state of a machine on one page, or of all in one table",
		Example: "  kubectl vs status my-vs\n  kubectl vs status",
	})
	printFlags.AddFlags(command)
	command.Flags().BoolVarP(&all, "all-namespaces", "A", false, "look into all namespaces")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		printer, err := printerOf(printFlags)
		if err != nil {
			return err
		}
		namespace, name, err := s.scope(all, arguments)
		switch {
		case err != nil:
			return err
		case name == "":
			return s.statusOfAll(command.Context(), namespace, printer, text(printFlags.OutputFormat) == "name")
		}
		vs, err := s.get(command.Context(), name)
		if err != nil {
			return err
		}
		if printer != nil {
			vs.SetGroupVersionKind(v1beta1.SchemeGroupVersion.WithKind("VirtualServer"))
			return printer.PrintObj(vs, s.Out)
		}
		return writeStatus(s.Out, vs, time.Now())
	}
	return command
}

// statusOfAll prints what "kubectl get" would. An empty namespace is all of them. A printer of names takes no list, only each of it.
func (s *session) statusOfAll(ctx context.Context, namespace string, printer printers.ResourcePrinter, each bool) error {
	group, err := s.group()
	if err != nil {
		return err
	}
	if printer != nil {
		list, err := group.VirtualServers(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range list.Items {
			list.Items[i].SetGroupVersionKind(v1beta1.SchemeGroupVersion.WithKind("VirtualServer"))
			if each {
				if err := printer.PrintObj(&list.Items[i], s.Out); err != nil {
					return err
				}
			}
		}
		if each {
			return nil
		}
		list.SetGroupVersionKind(v1beta1.SchemeGroupVersion.WithKind("VirtualServerList"))
		return printer.PrintObj(list, s.Out)
	}
	table, err := tableOf(ctx, group.RESTClient().Get().NamespaceIfScoped(namespace, namespace != "").Resource("virtualservers"))
	if err != nil {
		return err
	}
	switch {
	case len(table.Rows) > 0:
		return printers.NewTablePrinter(printers.PrintOptions{WithNamespace: namespace == ""}).PrintObj(table, s.Out)
	case namespace == "":
		_, err = fmt.Fprintln(s.ErrOut, "No resources found")
	default:
		_, err = fmt.Fprintf(s.ErrOut, "No resources found in %s namespace.\n", namespace)
	}
	return err
}

// tableOf asks the server for its own table.
func tableOf(ctx context.Context, request *rest.Request) (*metav1.Table, error) {
	answer := request.SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(ctx)
	if err := answer.Error(); err != nil {
		return nil, err
	}
	content, err := answer.Raw()
	if err != nil {
		return nil, err
	}
	table := &metav1.Table{}
	if err := json.Unmarshal(content, table); err != nil {
		return nil, err
	}
	for i := range table.Rows {
		about := &metav1.PartialObjectMetadata{}
		if err := json.Unmarshal(table.Rows[i].Object.Raw, about); err != nil {
			return nil, err
		}
		table.Rows[i].Object.Object = about
	}
	return table, nil
}

// writeStatus writes what a person asks first: is it up, where, and what happened to it.
func writeStatus(out io.Writer, vs *v1beta1.VirtualServer, now time.Time) error {
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			line(table, name+":", value)
		}
	}
	status := &vs.Status
	row("Name", vs.Namespace+"/"+vs.Name)
	row("Status", string(status.PrintableStatus))
	row("Message", status.Message)
	row("Run strategy", fmt.Sprintf("%s (created with %s)", status.RunStrategy, vs.Spec.RunStrategy))
	row("Machine", status.VM.Name)
	row("CPU, memory", sizes(vs))
	row("Node", status.Node)
	row("Addresses", strings.Join(status.IPAddresses, ", "))
	writeService(row, status.Service)
	if status.GuestOS != nil {
		row("Guest", status.GuestOS.PrettyName)
	}
	if status.Import != nil && status.Import.Phase != "Succeeded" {
		row("Import", fmt.Sprintf("%s, %s, %d restarts", status.Import.Phase, status.Import.Progress, status.Import.Restarts))
	}
	if pending := status.PendingOperation; pending != nil {
		row("Pending", joined(fmt.Sprintf("%s by %s %s ago.", pending.Type, pending.RequestedBy, ago(now, pending.RequestedAt.Time)),
			unlessSaid(status.Message, pending.Message)))
	}
	if status.StopDeadline != nil {
		row("Killed at", status.StopDeadline.Format(time.TimeOnly))
	}
	if failure := status.LastFailure; failure != nil {
		row("Last failure", joined(fmt.Sprintf("%s %s ago.", failure.Reason, ago(now, failure.Time.Time)), unlessSaid(status.Message, failure.Message)))
	}
	fmt.Fprintln(table)
	line(table, "CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE")
	for _, condition := range status.Conditions {
		since := ago(now, condition.LastTransitionTime.Time)
		line(table, condition.Type, string(condition.Status), since, condition.Reason, condition.Message)
	}
	writeDisks(table, status.Disks)
	writeOperations(table, status.Operations, now)
	return table.Flush()
}

// sizes are what the machine runs with, and what it will have after a restart if that differs.
func sizes(vs *v1beta1.VirtualServer) string {
	cores, err := quantity.Cores(vs.Spec.Resources.CPU.Cores)
	if err != nil {
		return fmt.Sprintf("%s, %s", vs.Spec.Resources.CPU.Cores.String(), vs.Spec.Resources.Memory.String())
	}
	wanted := fmt.Sprintf("%d, %s", cores, vs.Spec.Resources.Memory.String())
	runs := vs.Status.Resources
	if runs == nil {
		return wanted
	}
	now := fmt.Sprintf("%d, %s", runs.Cores, runs.Memory.String())
	if runs.Cores == int32(cores) && runs.Memory.Cmp(vs.Spec.Resources.Memory) == 0 {
		return wanted
	}
	return fmt.Sprintf("%s (%s after a restart)", now, wanted)
}

func writeDisks(out io.Writer, disks []v1beta1.DiskStatus) {
	if len(disks) == 0 {
		return
	}
	fmt.Fprintln(out, "\nDISK\tDEVICE\tSERIAL\tPATH")
	for _, disk := range disks {
		line(out, disk.Name, disk.Device, disk.Serial, disk.ByID)
	}
}

func writeOperations(out io.Writer, operations []v1beta1.OperationRecord, now time.Time) {
	if len(operations) == 0 {
		return
	}
	fmt.Fprintln(out, "\nOPERATION\tBY\tWHEN\tSTRATEGY\tRESULT\tTOOK")
	for _, operation := range operations {
		strategy := string(operation.FromRunStrategy)
		if operation.ToRunStrategy != operation.FromRunStrategy {
			strategy += " -> " + string(operation.ToRunStrategy)
		}
		line(out, string(operation.Type), operation.RequestedBy, ago(now, operation.RequestedAt.Time), strategy, string(operation.Result),
			operation.CompletedAt.Sub(operation.RequestedAt.Time).Round(10*time.Millisecond).String())
	}
}

func ago(now, then time.Time) string { return duration.HumanDuration(now.Sub(then)) }
