// Package importer plays the pods of the Containerized Data Importer: imports,
// and the two ends of a clone. Nothing is transferred.
package importer

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/test/nodeagent/cluster"
	"tensorstack.dev/virtualserver/test/nodeagent/faults"
	"tensorstack.dev/virtualserver/test/nodeagent/node"
)

// Labels, annotations and variables of CDI 1.65 (pkg/common/common.go and
// pkg/controller/common/util.go there).
const (
	componentLabel  = "cdi.kubevirt.io"
	importerName    = "importer"
	cloneSourceName = "cdi-clone-source"
	uploadName      = "cdi-upload-server"
	cloneLabel      = "cdi.kubevirt.io/storage.clone.cloneUniqeId"
	cloneAnnotation = "cdi.kubevirt.io/storage.sourceClonePodName"
	cloneRequest    = "k8s.io/CloneRequest"
	endpointEnv     = "IMPORTER_ENDPOINT"
	ownerEnv        = "OWNER_UID"
)

// clonePoll is how often the target of a clone looks at its source.
const clonePoll = 200 * time.Millisecond

// Options set the pace.
type Options struct {
	// Duration is how long a transfer takes.
	Duration time.Duration
	// Backoff is the wait before the second restart of a failing import; it
	// doubles up to BackoffMax.
	Backoff, BackoffMax time.Duration
}

// entry is when a container entered its state. The times in the API have only
// whole seconds, too coarse for imports that take less.
type entry struct {
	state    string
	restarts int32
	since    time.Time
}

// Importer is the runtime of CDI's pods.
type Importer struct {
	cluster  *cluster.Cluster
	options  Options
	progress *Progress

	mu      sync.Mutex
	entries map[types.UID]entry
}

var _ node.Runtime = &Importer{}

// New returns the runtime; progress serves what the imports have reached.
func New(c *cluster.Cluster, options Options, progress *Progress) *Importer {
	return &Importer{cluster: c, options: options, progress: progress, entries: map[types.UID]entry{}}
}

// Owns tells whether CDI made the pod.
func (i *Importer) Owns(pod *corev1.Pod) bool {
	switch pod.Labels[componentLabel] {
	case importerName, cloneSourceName, uploadName:
		return true
	}
	return false
}

// Address is a loopback address for the pods whose progress CDI reads, and an
// ordinary one for upload servers, which have a Service.
func (i *Importer) Address(pod *corev1.Pod) string {
	if pod.Labels[componentLabel] == uploadName {
		return cluster.PodAddress(pod.UID)
	}
	return cluster.ImporterAddress(pod.UID)
}

// Observe moves the pod's worker container on.
func (i *Importer) Observe(ctx context.Context, pod *corev1.Pod, status *corev1.PodStatus, now metav1.Time) time.Duration {
	worker := &status.ContainerStatuses[0]
	switch pod.Labels[componentLabel] {
	case importerName:
		s := newScript(i.cluster.Faults(ctx, pod.Namespace), variable(pod, endpointEnv), i.options.Duration)
		return i.move(ctx, pod, status, s, now)
	case cloneSourceName:
		return i.move(ctx, pod, status, script{outcome: faults.OK, duration: i.options.Duration}, now)
	}
	if !i.cloneTarget(pod) {
		return 0 // an upload server waits for its client
	}
	if worker.State.Running != nil && i.cloneDone(pod) {
		node.Terminate(worker, corev1.ContainerStateTerminated{Message: succeeded("Clone Complete")}, now)
		return 0
	}
	return clonePoll
}

func (i *Importer) move(ctx context.Context, pod *corev1.Pod, status *corev1.PodStatus, s script, now metav1.Time) time.Duration {
	worker := &status.ContainerStatuses[0]
	wait := func(restarts int32) time.Duration { return backoff(restarts, i.options.Backoff, i.options.BackoffMax) }
	since := i.entered(pod.UID, worker, now.Time)
	again := s.step(worker, since, now.Time, wait)
	since = i.entered(pod.UID, worker, now.Time)
	// An import that cannot connect never has a progress to show.
	if worker.State.Running != nil && s.outcome != faults.Fail {
		i.progress.Report(ctx, pod, variable(pod, ownerEnv), func() float64 { return s.percent(time.Since(since)) })
	} else {
		i.progress.Forget(pod.UID)
	}
	if ended := worker.State.Terminated; ended != nil && ended.ExitCode == 0 {
		i.forget(pod.UID)
		// The helpers beside the importer end with it.
		for at := 1; at < len(status.ContainerStatuses); at++ {
			if status.ContainerStatuses[at].State.Running != nil {
				node.Terminate(&status.ContainerStatuses[at], corev1.ContainerStateTerminated{}, now)
			}
		}
	}
	return again
}

// entered returns when the container entered its state.
func (i *Importer) entered(uid types.UID, status *corev1.ContainerStatus, now time.Time) time.Time {
	state := "waiting"
	if status.State.Running != nil {
		state = "running"
	} else if status.State.Terminated != nil {
		state = "terminated"
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	have, found := i.entries[uid]
	if !found || have.state != state || have.restarts != status.RestartCount {
		have = entry{state: state, restarts: status.RestartCount, since: now}
		i.entries[uid] = have
	}
	return have.since
}

func (i *Importer) forget(uid types.UID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.entries, uid)
}

// Stop ends the transfer at once.
func (i *Importer) Stop(_ context.Context, pod *corev1.Pod) (bool, time.Duration) {
	i.progress.Forget(pod.UID)
	i.forget(pod.UID)
	return true, 0
}

// cloneTarget tells whether an upload server receives a clone.
func (i *Importer) cloneTarget(pod *corev1.Pod) bool {
	claim := i.claim(pod)
	return claim != nil && claim.Annotations[cloneRequest] != ""
}

func (i *Importer) cloneDone(pod *corev1.Pod) bool {
	name := i.claim(pod).Annotations[cloneAnnotation]
	if name == "" {
		return false
	}
	sources, err := i.cluster.Factory.Core().V1().Pods().Lister().List(labels.SelectorFromSet(labels.Set{cloneLabel: name}))
	return err == nil && len(sources) == 1 && sources[0].Status.Phase == corev1.PodSucceeded
}

// claim is the claim that owns the pod; nil if it is gone.
func (i *Importer) claim(pod *corev1.Pod) *corev1.PersistentVolumeClaim {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return nil
	}
	claim, err := i.cluster.Factory.Core().V1().PersistentVolumeClaims().Lister().PersistentVolumeClaims(pod.Namespace).Get(owner.Name)
	if err != nil || claim.UID != owner.UID {
		return nil
	}
	return claim
}

func variable(pod *corev1.Pod, name string) string {
	for _, env := range pod.Spec.Containers[0].Env {
		if env.Name == name {
			return env.Value
		}
	}
	return ""
}
