package preflight

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/clock"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/limits"
)

// KubeVirt's feature gates for filesystems. The second one does nothing from 1.8 on: what it guards is always allowed.
const (
	storageFilesystemsGate = "EnableVirtioFsStorageVolumes"
	configFilesystemsGate  = "EnableVirtioFsConfigVolumes"
	// oldFilesystemsGate opened both, up to 1.7.
	oldFilesystemsGate = "ExperimentalVirtiofsSupport"
)

// kubeVirtTTL is how long KubeVirt's configuration is remembered, also if it could not be read.
const kubeVirtTTL = 30 * time.Second

// kubeVirtState is what is known of the KubeVirt of the cluster.
type kubeVirtState struct {
	// known is false if nothing could be found out; installed is false if there is no KubeVirt.
	known, installed bool
	// version is nil if KubeVirt does not say it.
	version *version.Version
	gates   []string
	// disabled are gates that are off, whatever their default is. KubeVirt knows such a list since 1.9.
	disabled []string
	// gatesAreGA is true from the version on that always allows filesystems of configuration.
	gatesAreGA bool
	// hostDevices are the GPUs that KubeVirt permits, nil for all.
	hostDevices []string
	// importer is what CDI gives the pods of imports.
	importer corev1.ResourceRequirements
}

// kubeVirtReader reads KubeVirt's configuration now and then.
type kubeVirtReader struct {
	client dynamic.Interface
	clock  clock.PassiveClock

	lock   sync.Mutex
	readAt time.Time
	state  kubeVirtState
}

func newKubeVirtReader(client dynamic.Interface, clock clock.PassiveClock) *kubeVirtReader {
	return &kubeVirtReader{client: client, clock: clock}
}

// read returns what was found out at most kubeVirtTTL ago. It holds the lock while it asks, which the context bounds.
func (r *kubeVirtReader) read(ctx context.Context) kubeVirtState {
	r.lock.Lock()
	defer r.lock.Unlock()
	if !r.readAt.IsZero() && r.clock.Since(r.readAt) < kubeVirtTTL {
		return r.state
	}
	resources := kubevirtv1.KubeVirtGroupVersionKind.GroupVersion().WithResource("kubevirts")
	list, err := r.client.Resource(resources).List(ctx, metav1.ListOptions{})
	r.readAt, r.state = r.clock.Now(), kubeVirtState{importer: r.importer(ctx)}
	if err != nil {
		// Without the right to read it, or without the kind, nothing can be said.
		return r.state
	}
	r.state.known = true
	for i := range list.Items {
		kubeVirt := &kubevirtv1.KubeVirt{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, kubeVirt); err != nil {
			r.state.known = false
			return r.state
		}
		r.state.add(kubeVirt)
	}
	return r.state
}

// importer is what CDI's configuration says of the pods of imports, or CDI's defaults if it cannot be read.
func (r *kubeVirtReader) importer(ctx context.Context) corev1.ResourceRequirements {
	configs := cdiv1.SchemeGroupVersion.WithResource("cdiconfigs")
	object, err := r.client.Resource(configs).Get(ctx, "config", metav1.GetOptions{})
	if err != nil {
		return limits.Importer()
	}
	config := &cdiv1.CDIConfig{}
	err = runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, config)
	if err != nil || config.Status.DefaultPodResourceRequirements == nil {
		return limits.Importer()
	}
	return *config.Status.DefaultPodResourceRequirements
}

func (s *kubeVirtState) add(kubeVirt *kubevirtv1.KubeVirt) {
	s.installed = true
	config := &kubeVirt.Spec.Configuration
	if developer := config.DeveloperConfiguration; developer != nil {
		s.gates = append(s.gates, developer.FeatureGates...)
		s.disabled = append(s.disabled, developer.DisabledFeatureGates...)
	}
	observed, err := version.ParseGeneric(kubeVirt.Status.ObservedKubeVirtVersion)
	if err == nil {
		s.version = observed
	}
	s.gatesAreGA = err != nil || observed.AtLeast(version.MajorMinor(1, 8))
	if permitted := config.PermittedHostDevices; permitted != nil {
		s.hostDevices = []string{}
		for _, device := range permitted.PciHostDevices {
			s.hostDevices = append(s.hostDevices, device.ResourceName)
		}
		for _, device := range permitted.MediatedDevices {
			s.hostDevices = append(s.hostDevices, device.ResourceName)
		}
	}
}

func (s *kubeVirtState) open(gate string) bool {
	if slices.Contains(s.disabled, gate) {
		return false
	}
	return slices.Contains(s.gates, gate) || slices.Contains(s.gates, oldFilesystemsGate)
}

func kubeVirtWarnings(spec *tensorstack.VirtualServerSpec, state kubeVirtState, path *field.Path) []string {
	if !state.known {
		return nil
	}
	if !state.installed {
		return []string{"spec: KubeVirt is not installed in this cluster: the machine waits until it is"}
	}
	var warnings []string
	for i := range spec.Storage.Filesystems {
		volume, child := &spec.Storage.Filesystems[i].VolumeSource, path.Child("storage", "filesystems").Index(i)
		gate, what := configFilesystemsGate, "this kind of volume"
		if volume.PersistentVolumeClaim != nil {
			gate, what = storageFilesystemsGate, "a PersistentVolumeClaim"
		} else if state.gatesAreGA {
			continue
		}
		if !state.open(gate) {
			advice := "enable its feature gate " + gate
			if slices.Contains(state.disabled, gate) {
				advice = "move " + gate + " from disabledFeatureGates to featureGates"
			}
			warnings = append(warnings, fmt.Sprintf("%s: KubeVirt refuses %s as a filesystem in this cluster: ask an administrator to %s",
				child, what, advice))
		}
	}
	if gpu := spec.Resources.GPU; gpu != nil && state.hostDevices != nil && !slices.Contains(state.hostDevices, gpu.Type) {
		warnings = append(warnings, fmt.Sprintf("%s: KubeVirt does not permit %q in this cluster: ask an administrator to add it to "+
			"permittedHostDevices", path.Child("resources", "gpu", "type"), gpu.Type))
	}
	return warnings
}
