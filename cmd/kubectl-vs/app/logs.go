package app

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// consoleLogContainer is the container in which KubeVirt keeps what the guest wrote to its serial console
// (kubevirt.io/kubevirt, pkg/virt-controller/services).
const consoleLogContainer = "guest-console-log"

func (s *session) logsCommand() *cobra.Command {
	var follow bool
	var tail int64
	command := s.named(&cobra.Command{
		Use:     "logs NAME",
		Short:   "Show what the guest wrote to its serial console, where KubeVirt keeps it",
		Example: "  kubectl vs logs my-vs --tail 50",
	})
	command.Flags().BoolVarP(&follow, "follow", "f", false, "go on as the guest writes")
	command.Flags().Int64Var(&tail, "tail", -1, "only the last lines; -1 for all")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		vs, err := s.get(command.Context(), arguments[0])
		if err != nil {
			return err
		}
		kube, err := s.kube()
		if err != nil {
			return err
		}
		pods := kube.CoreV1().Pods(vs.Namespace)
		list, err := pods.List(command.Context(), metav1.ListOptions{LabelSelector: "vm.kubevirt.io/name=" + vs.Status.VM.Name})
		if err != nil {
			return err
		}
		pod := consolePod(list.Items)
		if pod == nil {
			return fmt.Errorf("machine %s has no serial log: it is %s, or KubeVirt's logSerialConsole is off", vs.Name, vs.Status.PrintableStatus)
		}
		options := &corev1.PodLogOptions{Container: consoleLogContainer, Follow: follow}
		if tail >= 0 {
			options.TailLines = &tail
		}
		stream, err := pods.GetLogs(pod.Name, options).Stream(command.Context())
		if err != nil {
			return err
		}
		defer stream.Close()
		_, err = io.Copy(s.Out, stream)
		return err
	}
	return command
}

// consolePod is the newest pod that keeps a serial log.
func consolePod(pods []corev1.Pod) *corev1.Pod {
	var newest *corev1.Pod
	for i := range pods {
		// KubeVirt runs it as a sidecar, which is an init container that goes on; older versions had it among the others.
		for _, container := range slices.Concat(pods[i].Spec.InitContainers, pods[i].Spec.Containers) {
			if container.Name == consoleLogContainer && (newest == nil || newest.CreationTimestamp.Before(&pods[i].CreationTimestamp)) {
				newest = &pods[i]
			}
		}
	}
	return newest
}

func lastSeen(event *corev1.Event) time.Time {
	switch {
	case event.Series != nil:
		return event.Series.LastObservedTime.Time
	case !event.LastTimestamp.IsZero():
		return event.LastTimestamp.Time
	case !event.EventTime.IsZero():
		return event.EventTime.Time
	}
	return event.CreationTimestamp.Time
}
