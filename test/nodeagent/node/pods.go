package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"tensorstack.dev/virtualserver/test/nodeagent/cluster"
	"tensorstack.dev/virtualserver/test/nodeagent/loop"
)

// mountRetry is how soon a pod that lacks a Secret or ConfigMap is tried again.
const mountRetry = time.Second

// stopGrace is how long past its deadline a pod may wait for its runtime.
const stopGrace = 5 * time.Second

// Runtime knows what runs inside one kind of pod.
type Runtime interface {
	// Owns tells whether the runtime plays this pod.
	Owns(pod *corev1.Pod) bool
	// Address is the pod's address; it may be empty.
	Address(pod *corev1.Pod) string
	// Observe changes the statuses of a pod whose containers all run to what
	// they really do. A positive result asks to be called again.
	Observe(ctx context.Context, pod *corev1.Pod, status *corev1.PodStatus, now metav1.Time) time.Duration
	// Stop ends what runs in a pod that is being deleted; done is false while
	// something still runs. It is called again after every change and in time.
	Stop(ctx context.Context, pod *corev1.Pod) (done bool, again time.Duration)
}

// Pods runs the pods of the nodes that the agent serves.
type Pods struct {
	cluster  *cluster.Cluster
	runtimes []Runtime
	address  string
	loop     *loop.Loop
}

// NewPods returns the pod role. The first runtime that owns a pod plays it;
// a pod that none owns simply runs. address is the address of every node.
func NewPods(c *cluster.Cluster, address string, runtimes ...Runtime) *Pods {
	p := &Pods{cluster: c, runtimes: runtimes, address: address}
	p.loop = loop.New("pods", p.reconcile)
	return p
}

// Register adds the informer handlers; call it before the informers start.
func (p *Pods) Register() error {
	pods := p.cluster.Factory.Core().V1().Pods().Informer()
	nodes := p.cluster.Factory.Core().V1().Nodes().Informer()
	if _, err := pods.AddEventHandler(p.loop.Handler()); err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	// A node that comes back has pods to catch up with.
	_, err := nodes.AddEventHandler(p.loop.HandlerFor(func(object any) []string {
		node, ok := object.(*corev1.Node)
		if !ok || !p.cluster.Serves(node.Name) {
			return nil
		}
		return keys(p.cluster.PodsOn(node.Name))
	}))
	if err != nil {
		return fmt.Errorf("watching nodes: %w", err)
	}
	_, err = p.cluster.ConfigMaps.AddEventHandler(p.loop.HandlerFor(func(object any) []string {
		settings, ok := object.(*corev1.ConfigMap)
		if !ok {
			return nil
		}
		var found []string
		for _, object := range p.cluster.Factory.Core().V1().Pods().Informer().GetStore().List() {
			if pod := object.(*corev1.Pod); pod.Namespace == settings.Namespace {
				found = append(found, key(pod))
			}
		}
		return found
	}))
	if err != nil {
		return fmt.Errorf("watching settings: %w", err)
	}
	return nil
}

// Run works until the context ends.
func (p *Pods) Run(ctx context.Context, workers int) { p.loop.Run(ctx, workers) }

// Touch asks for a look at a pod whose inside has changed.
func (p *Pods) Touch(pod *corev1.Pod) { p.loop.Add(key(pod)) }

func (p *Pods) runtime(pod *corev1.Pod) Runtime {
	for _, runtime := range p.runtimes {
		if runtime.Owns(pod) {
			return runtime
		}
	}
	return plain{}
}

func (p *Pods) reconcile(ctx context.Context, name string) (time.Duration, error) {
	object, found, err := p.cluster.Factory.Core().V1().Pods().Informer().GetStore().GetByKey(name)
	if err != nil || !found {
		return 0, err
	}
	pod := object.(*corev1.Pod)
	if !p.cluster.Serves(pod.Spec.NodeName) {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, cluster.RequestTimeout)
	defer cancel()
	if pod.DeletionTimestamp != nil {
		return p.stop(ctx, pod)
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return 0, nil
	}
	runtime, now := p.runtime(pod), metav1.Now()
	addresses := Addresses{Host: p.address, Pod: runtime.Address(pod)}
	if pod.Spec.HostNetwork {
		addresses.Pod = p.address
	}
	if pod.Status.Phase != corev1.PodRunning {
		missing, err := p.missingMounts(ctx, pod)
		if err != nil {
			return 0, err
		}
		if len(missing) > 0 {
			p.cluster.Recorder.Eventf(pod, corev1.EventTypeWarning, "FailedMount", "MountVolume.SetUp failed: %s not found", strings.Join(missing, ", "))
			return mountRetry, p.write(ctx, pod, waitContainers(pod, addresses, now), now)
		}
	}
	if len(pod.Status.ContainerStatuses) == 0 {
		// A kubelet tells of a pod before its containers run. The change brings the next turn.
		return 0, p.write(ctx, pod, waitContainers(pod, addresses, now), now)
	}
	status := runContainers(pod, addresses, now)
	again := runtime.Observe(ctx, pod, &status, now)
	return again, p.write(ctx, pod, status, now)
}

func (p *Pods) write(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus, now metav1.Time) error {
	settle(pod, &status, now)
	if equality.Semantic.DeepEqual(pod.Status, status) {
		return nil
	}
	updated := pod.DeepCopy()
	updated.Status = status
	_, err := p.cluster.Kube.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{})
	return err
}

// stop ends a pod that is being deleted and then removes the object, as a
// kubelet does once the last container has ended.
func (p *Pods) stop(ctx context.Context, pod *corev1.Pod) (time.Duration, error) {
	// The deletion time of a pod is its deadline, the grace period included.
	late := time.Since(pod.DeletionTimestamp.Time)
	if started(pod) && late < stopGrace {
		if done, again := p.runtime(pod).Stop(ctx, pod); !done {
			return min(max(again, 10*time.Millisecond), max(stopGrace-late, 10*time.Millisecond)), nil
		}
	}
	now := metav1.Now()
	if started(pod) {
		if err := p.write(ctx, pod, endContainers(pod, now), now); err != nil {
			return 0, err
		}
	}
	immediately := int64(0)
	err := p.cluster.Kube.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &immediately,
		Preconditions:      &metav1.Preconditions{UID: &pod.UID},
	})
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	return 0, err
}

func started(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning }

// missingMounts lists the Secrets and ConfigMaps that the pod's volumes need
// and that do not exist: a kubelet would not start the pod either.
func (p *Pods) missingMounts(ctx context.Context, pod *corev1.Pod) ([]string, error) {
	var missing []string
	check := func(err error, kind, name string) error {
		if apierrors.IsNotFound(err) {
			missing = append(missing, fmt.Sprintf("%s %q", kind, name))
			return nil
		}
		return err
	}
	for _, volume := range pod.Spec.Volumes {
		if secret := volume.Secret; secret != nil && !isTrue(secret.Optional) {
			_, err := p.cluster.Kube.CoreV1().Secrets(pod.Namespace).Get(ctx, secret.SecretName, metav1.GetOptions{})
			if err := check(err, "secret", secret.SecretName); err != nil {
				return nil, fmt.Errorf("reading a Secret that pod %s mounts: %w", key(pod), err)
			}
		}
		if settings := volume.ConfigMap; settings != nil && !isTrue(settings.Optional) {
			_, err := p.cluster.Kube.CoreV1().ConfigMaps(pod.Namespace).Get(ctx, settings.Name, metav1.GetOptions{})
			if err := check(err, "configmap", settings.Name); err != nil {
				return nil, fmt.Errorf("reading a ConfigMap that pod %s mounts: %w", key(pod), err)
			}
		}
	}
	return missing, nil
}

func isTrue(value *bool) bool { return value != nil && *value }

func key(pod *corev1.Pod) string { return cache.MetaObjectToName(pod).String() }

func keys(pods []*corev1.Pod) []string {
	names := make([]string, 0, len(pods))
	for _, pod := range pods {
		names = append(names, key(pod))
	}
	return names
}

// plain plays the pods that nobody else knows: they run until they are
// deleted, and those of a Job complete.
type plain struct{}

func (plain) Owns(*corev1.Pod) bool          { return true }
func (plain) Address(pod *corev1.Pod) string { return cluster.PodAddress(pod.UID) }

func (plain) Observe(_ context.Context, pod *corev1.Pod, status *corev1.PodStatus, now metav1.Time) time.Duration {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "Job" {
		return 0
	}
	for i := range status.ContainerStatuses {
		if status.ContainerStatuses[i].State.Running != nil {
			Terminate(&status.ContainerStatuses[i], corev1.ContainerStateTerminated{}, now)
		}
	}
	return 0
}

func (plain) Stop(context.Context, *corev1.Pod) (bool, time.Duration) { return true, 0 }
