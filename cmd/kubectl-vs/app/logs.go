package app

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// consoleLogContainer is the container in which KubeVirt keeps what the guest wrote to its serial console
// (kubevirt.io/kubevirt, pkg/virt-controller/services).
const consoleLogContainer = "guest-console-log"

// machineLabel is on the pods of a machine. KubeVirt's own label has the hostname of the guest, which is not the machine's name.
const machineLabel = translate.LabelMachine

// logging is what "kubectl vs logs" is asked for.
type logging struct {
	follow, previous, timestamps bool
	tail                         int64
	since                        time.Duration
}

func (s *session) logsCommand() *cobra.Command {
	var wanted logging
	command := s.named(&cobra.Command{
		Use:     "logs NAME",
		Short:   "Show what the guest wrote to its serial console, where KubeVirt keeps it",
		Example: "  kubectl vs logs my-vs --tail 50\n  kubectl vs logs my-vs --since 10m -f\n  kubectl vs logs my-vs --previous",
	})
	flags := command.Flags()
	flags.BoolVarP(&wanted.follow, "follow", "f", false, "go on as the guest writes")
	flags.BoolVarP(&wanted.previous, "previous", "p", false, "of the run before the last one, as long as its pod exists")
	flags.BoolVar(&wanted.timestamps, "timestamps", false, "begin each line with its time")
	flags.Int64Var(&wanted.tail, "tail", -1, "only the last lines; -1 for all")
	flags.DurationVar(&wanted.since, "since", 0, "only what is newer than this, such as 5s, 2m or 3h; 0 for all")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		return s.logs(command.Context(), arguments[0], wanted)
	}
	return command
}

func (s *session) logs(ctx context.Context, name string, wanted logging) error {
	options, err := wanted.options()
	if err != nil {
		return err
	}
	vs, err := s.get(ctx, name)
	if err != nil {
		return err
	}
	kube, err := s.kube()
	if err != nil {
		return err
	}
	pods := kube.CoreV1().Pods(vs.Namespace)
	list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: machineLabel + "=" + vs.Status.VM.Name})
	if err != nil {
		return err
	}
	pod := consolePod(list.Items, wanted.previous)
	if pod == nil {
		return wanted.missing(vs)
	}
	stream, err := pods.GetLogs(pod.Name, options).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	_, err = io.Copy(s.Out, stream)
	return err
}

func (l *logging) options() (*corev1.PodLogOptions, error) {
	options := &corev1.PodLogOptions{Container: consoleLogContainer, Follow: l.follow, Timestamps: l.timestamps}
	switch {
	case l.since < 0:
		return nil, fmt.Errorf("--since must be greater than 0, such as 10m")
	case l.since > 0:
		// The API counts whole seconds, and at least one.
		seconds := max(int64(l.since.Round(time.Second)/time.Second), 1)
		options.SinceSeconds = &seconds
	}
	if l.tail < -1 {
		return nil, fmt.Errorf("--tail must be at least 0, or -1 for all lines")
	}
	if l.tail >= 0 {
		options.TailLines = &l.tail
	}
	return options, nil
}

func (l *logging) missing(vs *v1beta1.VirtualServer) error {
	if l.previous {
		return fmt.Errorf("virtualserver %q has no serial log of an earlier run: KubeVirt keeps it as long as the pod of that run exists", vs.Name)
	}
	return fmt.Errorf("virtualserver %q has no serial log: it is %s, or KubeVirt's logSerialConsole is off",
		vs.Name, firstOf(string(vs.Status.PrintableStatus), "not started yet"))
}

// consolePod is the newest pod that keeps a serial log: of the last run of the machine, or of the one before. A run that was moved to
// another node has several pods.
func consolePod(pods []corev1.Pod, previous bool) *corev1.Pod {
	var kept []*corev1.Pod
	for i := range pods {
		// KubeVirt runs it as a sidecar, which is an init container that goes on; older versions had it among the others.
		containers := slices.Concat(pods[i].Spec.InitContainers, pods[i].Spec.Containers)
		if slices.ContainsFunc(containers, func(container corev1.Container) bool { return container.Name == consoleLogContainer }) {
			kept = append(kept, &pods[i])
		}
	}
	slices.SortFunc(kept, func(a, b *corev1.Pod) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for _, pod := range kept {
		if !previous || runOf(pod) != runOf(kept[0]) {
			return pod
		}
	}
	return nil
}

// runOf is the UID of the instance that a pod was made for.
func runOf(pod *corev1.Pod) string { return pod.Labels[kubevirtv1.CreatedByLabel] }
