package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"tensorstack.dev/virtualserver/cmd/kubectl-vs/await"
	"tensorstack.dev/virtualserver/cmd/kubectl-vs/devices"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// link is one step of the chain from the machine down to the object that blocks it.
type link struct{ object, says string }

// evidence is what "why" looks at. Any part may be missing: the machine has no such object, or the user may not see it.
type evidence struct {
	server       *v1beta1.VirtualServer
	claim        *corev1.PersistentVolumeClaim
	storageClass string // the name of a StorageClass that does not exist
	launcher     *corev1.Pod
	node         *corev1.Node
	gpus         *devices.Supply // of the GPU that the machine waits for
	events       []corev1.Event
	hidden       []string // kinds that the user may not see
}

func (s *session) whyCommand() *cobra.Command {
	return s.named(&cobra.Command{
		Use:     "why NAME",
		Short:   "Explain the state of a machine, down to the object that blocks it",
		Example: "  kubectl vs why my-vs",
		RunE: func(command *cobra.Command, arguments []string) error {
			vs, err := s.get(command.Context(), arguments[0])
			if err != nil {
				return err
			}
			kube, err := s.kube()
			if err != nil {
				return err
			}
			found, err := gather(command.Context(), kube, vs)
			if err != nil {
				return err
			}
			writeChain(s.Out, explain(found, time.Now()))
			if hint := s.hint(found); hint != "" {
				fmt.Fprintln(s.Out, "\nHint:", hint)
			}
			if len(found.hidden) > 0 {
				fmt.Fprintf(s.ErrOut, "You may not see: %s. The chain may be longer.\n", strings.Join(found.hidden, ", "))
			}
			return nil
		},
	})
}

func writeChain(out io.Writer, chain []link) {
	for depth, link := range chain {
		fmt.Fprintf(out, "%s%s: %s\n", strings.Repeat("  ", depth), plain(link.object), plain(link.says))
	}
}

// gather reads the objects behind a machine, as far as the user may see them.
func gather(ctx context.Context, kube kubernetes.Interface, vs *v1beta1.VirtualServer) (*evidence, error) {
	found := &evidence{server: vs}
	name := vs.Status.VM.Name
	if name == "" {
		return found, nil
	}
	core := kube.CoreV1()
	claim, err := core.PersistentVolumeClaims(vs.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err := found.note("PersistentVolumeClaims", err); err != nil {
		return nil, err
	} else if claim != nil && claim.Name != "" {
		found.claim = claim
	}
	if found.claim != nil && found.claim.Status.Phase == corev1.ClaimPending && found.claim.Spec.StorageClassName != nil {
		_, err := kube.StorageV1().StorageClasses().Get(ctx, *found.claim.Spec.StorageClassName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			found.storageClass = *found.claim.Spec.StorageClassName
		} else if err := found.note("StorageClasses", err); err != nil {
			return nil, err
		}
	}
	pods, err := core.Pods(vs.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "kubevirt.io=virt-launcher," + machineLabel + "=" + name})
	if err := found.note("Pods", err); err != nil {
		return nil, err
	} else if err == nil && pods != nil && len(pods.Items) > 0 {
		newest := slices.MaxFunc(pods.Items, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
		found.launcher = &newest
	}
	if vs.Status.Node != "" {
		node, err := core.Nodes().Get(ctx, vs.Status.Node, metav1.GetOptions{})
		if err := found.note("Nodes", err); err != nil {
			return nil, err
		} else if node != nil && node.Name != "" {
			found.node = node
		}
	}
	if found.waitsForGPU() {
		if err := found.gatherGPUs(ctx, core); err != nil {
			return nil, err
		}
	}
	events, err := core.Events(vs.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
	if err := found.note("Events", err); err != nil {
		return nil, err
	} else if events != nil {
		found.events = events.Items
	}
	return found, nil
}

// note remembers what may not be seen, forgives what is not there, and returns everything else.
func (e *evidence) note(kind string, err error) error {
	switch {
	case apierrors.IsForbidden(err):
		e.hidden = append(e.hidden, kind)
		return nil
	case apierrors.IsNotFound(err):
		return nil
	}
	return err
}

// explain builds the chain. Each link is the cause of the one before.
func explain(e *evidence, now time.Time) []link {
	status := &e.server.Status
	chain := []link{{"VirtualServer " + e.server.Name, firstOf(string(status.PrintableStatus), "not seen by the controller yet")}}
	add := func(object, says string) { chain = append(chain, link{object, says}) }
	if status.Message != "" {
		chain[0].says += ": " + status.Message
	}
	if pending := status.PendingOperation; pending != nil {
		add(fmt.Sprintf("Operation %s by %s", pending.Type, pending.RequestedBy), joined("pending.", unlessSaid(status.Message, pending.Message)))
	}
	for _, wanted := range []struct {
		kind string
		bad  metav1.ConditionStatus
	}{
		{v1beta1.ConditionReconciled, metav1.ConditionFalse}, {v1beta1.ConditionDataImported, metav1.ConditionFalse},
		{v1beta1.ConditionFailure, metav1.ConditionTrue}, {v1beta1.ConditionRestartRequired, metav1.ConditionTrue},
		{v1beta1.ConditionVolumesReady, metav1.ConditionFalse},
	} {
		condition := meta.FindStatusCondition(status.Conditions, wanted.kind)
		if condition != nil && condition.Status == wanted.bad && !e.isNoCause(condition) {
			add("Condition "+wanted.kind, strings.TrimRight(condition.Reason+", "+unlessSaid(status.Message, condition.Message), ", "))
		}
	}
	if failure := recentFailure(status, now); failure != nil {
		add("Last failure", fmt.Sprintf("%s, %s ago%s", failure.Reason, ago(now, failure.Time.Time), before(". ", unlessSaid(status.Message, failure.Message))))
	}
	e.explainDisk(add)
	e.explainPod(add)
	if e.gpus != nil {
		wanted := e.server.Spec.Resources.GPU
		add("GPU "+wanted.Type, e.gpus.Sentence(int64(wanted.Count)))
	}
	e.explainNode(add)
	return chain
}

// recent is how long a failure is news: whoever looks in the morning wants to know of the night.
const recent = 24 * time.Hour

// recentFailure is an unexpected end from which the machine has recovered, or nil. One from which it has not is a condition.
func recentFailure(status *v1beta1.VirtualServerStatus, now time.Time) *v1beta1.MachineFailure {
	failure := status.LastFailure
	if failure == nil || now.Sub(failure.Time.Time) > recent || meta.IsStatusConditionTrue(status.Conditions, v1beta1.ConditionFailure) {
		return nil
	}
	return failure
}

// isNoCause says that a machine is not stopped because its disk is not imported yet: that comes with the first start.
func (e *evidence) isNoCause(condition *metav1.Condition) bool {
	return e.server.Status.PrintableStatus == v1beta1.StatusStopped &&
		condition.Type == v1beta1.ConditionDataImported && await.ImportsOnStart(condition)
}

func (e *evidence) explainDisk(add func(object, says string)) {
	if e.claim == nil || e.claim.Status.Phase != corev1.ClaimPending {
		return
	}
	// Nothing is wrong with a claim that waits for the first start.
	if e.server.Status.PrintableStatus == v1beta1.StatusStopped && e.storageClass == "" {
		return
	}
	add("PersistentVolumeClaim "+e.claim.Name, firstOf(e.lastWarning("PersistentVolumeClaim", e.claim.Name), "Pending"))
	if e.storageClass != "" {
		add("StorageClass "+e.storageClass, "does not exist")
	}
}

func (e *evidence) explainPod(add func(object, says string)) {
	if e.launcher == nil {
		return
	}
	switch e.server.Status.PrintableStatus {
	case v1beta1.StatusRunning, v1beta1.StatusPaused, v1beta1.StatusStopping, v1beta1.StatusStopped, v1beta1.StatusTerminating:
		return // The pod is as it should be, or on its way out.
	}
	says := string(e.launcher.Status.Phase)
	for _, condition := range e.launcher.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			says = condition.Reason + ", " + condition.Message
		}
	}
	if warning := e.lastWarning("Pod", e.launcher.Name); warning != "" && e.launcher.Status.Phase == corev1.PodPending && !strings.Contains(says, ",") {
		says += ", " + warning
	}
	add("Pod "+e.launcher.Name, says)
}

func (e *evidence) explainNode(add func(object, says string)) {
	if e.node == nil || e.launcher == nil || e.server.Status.PrintableStatus == v1beta1.StatusRunning {
		return
	}
	for _, condition := range e.node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			add("Node "+e.node.Name, "not ready, "+condition.Message)
		}
	}
}

func (e *evidence) lastWarning(kind, name string) string {
	var last *corev1.Event
	for i := range e.events {
		event := &e.events[i]
		if event.InvolvedObject.Kind == kind && event.InvolvedObject.Name == name && (last == nil || lastSeen(last).Before(lastSeen(event))) {
			last = event
		}
	}
	if last == nil {
		return ""
	}
	return last.Message
}

// hint says what to do about the deepest cause.
func (s *session) hint(e *evidence) string {
	status, name := &e.server.Status, e.server.Name
	switch {
	case e.storageClass != "" || classIsMissing(status):
		return "name one of 'kubectl get storageclasses' in spec.storage.root.pvc.storageClassName, in a new VirtualServer."
	case status.Import != nil && status.Import.LastError != "":
		return "correct spec.storage.root.source; the import then starts again."
	case status.PrintableStatus == v1beta1.StatusFailedUnschedulable:
		return "ask for fewer resources, or ask an administrator what the nodes offer."
	case status.PrintableStatus == v1beta1.StatusCrashLoopBackOff:
		return "look at the console while it starts: " + s.again("console", name)
	case status.PrintableStatus == v1beta1.StatusUnknown:
		return "the node is silent. Ask an administrator whether it is down for good before you start the machine elsewhere."
	case status.PrintableStatus == v1beta1.StatusPaused:
		return s.again("unpause", name)
	case status.PrintableStatus == v1beta1.StatusStopped:
		return s.again("start", name)
	case meta.IsStatusConditionTrue(status.Conditions, v1beta1.ConditionRestartRequired):
		return s.again("restart", name)
	}
	return ""
}

// classIsMissing believes the controller, for users who may not see StorageClasses.
func classIsMissing(status *v1beta1.VirtualServerStatus) bool {
	imported := meta.FindStatusCondition(status.Conditions, v1beta1.ConditionDataImported)
	return imported != nil && imported.Status == metav1.ConditionFalse && imported.Reason == "StorageClassNotFound"
}

// before is a text with something in front of it, or nothing.
func before(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
