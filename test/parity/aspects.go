package parity

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// absent is the value of an aspect that is not there any more.
const absent = "-"

// aspectsOf returns what is recorded of an object, and what kind of object it counts as; nothing for one that is of no interest.
func aspectsOf(resource string, object *unstructured.Unstructured, n *Normalizer) (kind string, aspects map[string]string, err error) {
	convert := runtime.DefaultUnstructuredConverter.FromUnstructured
	switch resource {
	case "virtualservers":
		vs := &v1beta1.VirtualServer{}
		err = convert(object.Object, vs)
		return "virtualserver", virtualServer(vs, n), err
	case "virtualmachineinstances":
		vmi := &kubevirtv1.VirtualMachineInstance{}
		err = convert(object.Object, vmi)
		return "instance", instance(vmi, n), err
	default:
		pod := &corev1.Pod{}
		if err = convert(object.Object, pod); err != nil {
			return "", nil, err
		}
		kind, worker := "", ""
		switch {
		case pod.Labels[kubevirtv1.AppLabel] == "virt-launcher":
			kind, worker = "launcher", "compute"
		case pod.Labels["cdi.kubevirt.io"] == "importer":
			kind, worker = "importer", "importer"
		default:
			return "", nil, nil
		}
		return kind, podAspects(pod, worker, n), nil
	}
}

func said(status, reason, message string) string {
	return strings.TrimSpace(strings.Join([]string{status, reason}, " ")) + orNothing(": ", message)
}

func orNothing(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func virtualServer(vs *v1beta1.VirtualServer, n *Normalizer) map[string]string {
	n.Name(vs.Status.VM.Name, "MACHINE")
	status := &vs.Status
	node := n.Node(status.Node)
	aspects := map[string]string{
		"printableStatus": orAbsent(string(status.PrintableStatus)), "message": orAbsent(n.Text(status.Message)),
		"runStrategy": orAbsent(string(status.RunStrategy)), "node": orAbsent(node),
		"pendingOperation": absent, "lastFailure": absent, "operations": absent, "import": absent,
	}
	for _, condition := range status.Conditions {
		aspects["condition "+condition.Type] = said(string(condition.Status), condition.Reason, n.Text(condition.Message))
	}
	if pending := status.PendingOperation; pending != nil {
		aspects["pendingOperation"] = string(pending.Type)
	}
	if failure := status.LastFailure; failure != nil {
		aspects["lastFailure"] = said(failure.Reason, fmt.Sprintf("(%d)", failure.Count), n.Text(failure.Message))
	}
	if len(status.Operations) > 0 {
		last := status.Operations[0]
		aspects["operations"] = said(string(last.Type), string(last.Result), n.Text(last.Message))
	}
	if status.Import != nil {
		aspects["import"] = said(status.Import.Phase, "", n.Text(status.Import.LastError))
	}
	return aspects
}

func orAbsent(text string) string {
	if text == "" {
		return absent
	}
	return text
}

func instance(vmi *kubevirtv1.VirtualMachineInstance, n *Normalizer) map[string]string {
	n.Name(vmi.Name, "MACHINE")
	aspects := map[string]string{
		"phase": orAbsent(string(vmi.Status.Phase)), "node": orAbsent(n.Node(vmi.Status.NodeName)), "reason": orAbsent(vmi.Status.Reason),
		"migration": migration(vmi.Status.MigrationState, n),
	}
	for _, condition := range vmi.Status.Conditions {
		aspects["condition "+string(condition.Type)] = said(string(condition.Status), condition.Reason, n.Text(condition.Message))
	}
	return aspects
}

func migration(state *kubevirtv1.VirtualMachineInstanceMigrationState, n *Normalizer) string {
	switch {
	case state == nil:
		return absent
	case state.Failed:
		return "failed" + orNothing(": ", n.Text(state.FailureReason))
	case state.Completed:
		return "completed"
	case state.StartTimestamp != nil:
		return "moving"
	default:
		return "prepared"
	}
}

func podAspects(pod *corev1.Pod, worker string, n *Normalizer) map[string]string {
	n.Name(pod.Labels["tensorstack.dev/virtual-machine"], "MACHINE")
	aspects := map[string]string{
		"phase": orAbsent(string(pod.Status.Phase)), "node": orAbsent(n.Node(pod.Spec.NodeName)), "reason": orAbsent(pod.Status.Reason),
		"container " + worker: absent,
	}
	for _, condition := range pod.Status.Conditions {
		aspects["condition "+string(condition.Type)] = said(string(condition.Status), condition.Reason, n.Text(condition.Message))
	}
	for _, container := range pod.Status.ContainerStatuses {
		if container.Name == worker {
			aspects["container "+worker] = containerState(&container, n)
		}
	}
	return aspects
}

func containerState(container *corev1.ContainerStatus, n *Normalizer) string {
	switch state := container.State; {
	case state.Waiting != nil:
		return said("waiting", state.Waiting.Reason, "")
	case state.Running != nil:
		return "running"
	case state.Terminated != nil:
		return said("ended", fmt.Sprintf("%s %d", state.Terminated.Reason, state.Terminated.ExitCode), n.Text(state.Terminated.Message))
	default:
		return absent
	}
}
