package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/components"
)

const (
	// kubeconfigDir is where virt-handler finds its kubeconfig, file "kubeconfig".
	kubeconfigDir = "/etc/kubeconfig"
	// logVerbosity is what virt-operator gives to virt-handler by default.
	logVerbosity = "2"
	// emulatedLabeller runs the node labeller as on a machine without hardware
	// virtualization. Its script makes /dev/kvm where the kernel has a driver, and
	// then asks for CPU models that emulation cannot give: no machine that names a
	// model would find a node, and no migration a target.
	emulatedLabeller = "sed s/VIRTTYPE=kvm/VIRTTYPE=qemu/ /usr/bin/node-labeller.sh | bash"
)

// handlerOptions describes virt-handler's DaemonSet. Without an image there is none.
type handlerOptions struct {
	image               string // of virt-handler and of the node labeller, with a tag
	consolePort         int    // 1 to 65535; virt-api's --console-server-port
	port                int    // 1 to 65535; health and metrics
	kubeconfigConfigMap string // in KubeVirt's namespace, key "kubeconfig"; empty: as any pod
}

// hasTag matches an image reference that ends in a tag or a digest.
var hasTag = regexp.MustCompile(`(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})$`)

// validate refuses what Kubernetes would accept and a node without a registry
// could never run.
func (o handlerOptions) validate() error {
	if o.image == "" {
		return nil
	}
	if !hasTag.MatchString(o.image) || strings.HasSuffix(o.image, ":latest") {
		return fmt.Errorf("handler image %q needs a tag other than latest, which would be pulled every time", o.image)
	}
	for name, port := range map[string]int{"console port": o.consolePort, "port": o.port} {
		if port < 1 || port > 65535 {
			return fmt.Errorf("%s %d of virt-handler is not between 1 and 65535", name, port)
		}
	}
	if o.consolePort == o.port {
		return fmt.Errorf("virt-handler cannot listen on port %d twice", o.port)
	}
	return nil
}

// handlerObjects returns virt-handler's DaemonSet and the priority class that its
// pods need. The Secrets with its certificates are left to whoever has the keys.
func handlerObjects(opts options) ([]runtime.Object, error) {
	if opts.handler.image == "" {
		return nil, nil
	}
	set := components.NewHandlerDaemonSet(namespace, "", "", "", "", "", "", "", "", "",
		opts.handler.image, opts.handler.image, "", "", corev1.PullIfNotPresent, nil, nil, logVerbosity, nil, false)
	if err := adapt(set, opts); err != nil {
		return nil, err
	}
	return []runtime.Object{components.NewKubeVirtPriorityClassCR(), set}, nil
}

// adapt makes virt-handler fit for nodes that are namespaces on one machine: it
// uses its node's network, since virt-api is a process that reaches nodes only.
func adapt(set *appsv1.DaemonSet, opts options) error {
	pod := &set.Spec.Template.Spec
	pod.HostNetwork = true
	pod.DNSPolicy = corev1.DNSDefault
	pod.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}

	container := &pod.Containers[0]
	for flag, port := range map[string]int{"--console-server-port": opts.handler.consolePort, "--port": opts.handler.port} {
		if err := setArgument(container.Args, flag, strconv.Itoa(port)); err != nil {
			return err
		}
	}
	for i := range container.Ports {
		container.Ports[i].ContainerPort = int32(opts.handler.port)
	}
	for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe} {
		probe.HTTPGet.Port = intstr.FromInt32(int32(opts.handler.port))
	}
	// Somebody waits for the first answer.
	container.ReadinessProbe.InitialDelaySeconds = 2
	container.ReadinessProbe.PeriodSeconds = 2

	if name := opts.handler.kubeconfigConfigMap; name != "" {
		container.Args = append(container.Args, "--kubeconfig", kubeconfigDir+"/kubeconfig")
		source := corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "kubeconfig", VolumeSource: corev1.VolumeSource{ConfigMap: &source}})
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: "kubeconfig", MountPath: kubeconfigDir, ReadOnly: true})
	}
	if opts.useEmulation {
		pod.InitContainers[0].Args = []string{emulatedLabeller}
	}
	return nil
}

// setArgument replaces the value that follows flag in args.
func setArgument(args []string, flag, value string) error {
	i := slices.Index(args, flag)
	if i < 0 || i+1 >= len(args) {
		return fmt.Errorf("virt-handler's DaemonSet has no argument %s", flag)
	}
	args[i+1] = value
	return nil
}
