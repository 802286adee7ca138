package app

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes/scheme"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func (s *session) statusCommand() *cobra.Command {
	printFlags := genericclioptions.NewPrintFlags("").WithTypeSetter(scheme.Scheme)
	command := s.named(&cobra.Command{
		Use:     "status NAME",
		Short:   "Show the state of a machine on one page",
		Example: "  kubectl vs status my-vs",
	})
	printFlags.AddFlags(command)
	command.RunE = func(command *cobra.Command, arguments []string) error {
		printer, err := printerOf(printFlags)
		if err != nil {
			return err
		}
		vs, err := s.get(command.Context(), arguments[0])
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
	row("CPU, memory", fmt.Sprintf("%s, %s", vs.Spec.Resources.CPU.Cores.String(), vs.Spec.Resources.Memory.String()))
	row("Node", status.Node)
	row("Addresses", strings.Join(status.IPAddresses, ", "))
	if status.GuestOS != nil {
		row("Guest", status.GuestOS.PrettyName)
	}
	if status.Import != nil && status.Import.Phase != "Succeeded" {
		row("Import", fmt.Sprintf("%s, %s, %d restarts", status.Import.Phase, status.Import.Progress, status.Import.Restarts))
	}
	if pending := status.PendingOperation; pending != nil {
		row("Pending", fmt.Sprintf("%s by %s %s ago. %s", pending.Type, pending.RequestedBy, ago(now, pending.RequestedAt.Time), pending.Message))
	}
	if status.StopDeadline != nil {
		row("Killed at", status.StopDeadline.Format(time.TimeOnly))
	}
	if failure := status.LastFailure; failure != nil {
		row("Last failure", fmt.Sprintf("%s %s ago. %s", failure.Reason, ago(now, failure.Time.Time), failure.Message))
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

func (s *session) eventsCommand() *cobra.Command {
	return s.named(&cobra.Command{
		Use:     "events NAME",
		Short:   "Show what happened to a machine",
		Example: "  kubectl vs events my-vs",
		RunE: func(command *cobra.Command, arguments []string) error {
			vs, err := s.get(command.Context(), arguments[0])
			if err != nil {
				return err
			}
			kube, err := s.kube()
			if err != nil {
				return err
			}
			list, err := kube.CoreV1().Events(vs.Namespace).List(command.Context(), metav1.ListOptions{
				FieldSelector: "involvedObject.kind=VirtualServer,involvedObject.name=" + vs.Name,
			})
			if err != nil {
				return err
			}
			return writeEvents(s.Out, list.Items, time.Now())
		},
	})
}

func writeEvents(out io.Writer, events []corev1.Event, now time.Time) error {
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return lastSeen(&a).Compare(lastSeen(&b)) })
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	line(table, "LAST SEEN", "TYPE", "REASON", "MESSAGE")
	for i := range events {
		event := &events[i]
		line(table, ago(now, lastSeen(event)), event.Type, event.Reason, event.Message)
	}
	return table.Flush()
}
