package preflight

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// KubeVirt notes an unsigned checksum of every containerDisk of a running machine, for which its definitions had the format
// int32 before this version. From 1.36 on Kubernetes enforces formats, and refuses every checksum that is larger, which is that
// of half of all images: the machine stays in phase Scheduled for ever.
const kubeVirtWithWideChecksums = "1.8.4"

// breaksContainerDisks says whether the two versions do not go together, as far as they are known.
func breaksContainerDisks(kubernetes, kubeVirt *version.Version) bool {
	return kubernetes != nil && kubeVirt != nil && kubernetes.AtLeast(version.MajorMinor(1, 36)) &&
		kubeVirt.LessThan(version.MustParseGeneric(kubeVirtWithWideChecksums))
}

// kubernetesReader reads the version of the cluster now and then: it changes while this server runs.
type kubernetesReader struct {
	clock clock.PassiveClock

	lock    sync.Mutex
	readAt  time.Time
	version *version.Version
}

// read returns what was found out at most kubeVirtTTL ago, or nil if nothing could be.
func (r *kubernetesReader) read(ctx context.Context, client kubernetes.Interface) *version.Version {
	r.lock.Lock()
	defer r.lock.Unlock()
	if !r.readAt.IsZero() && r.clock.Since(r.readAt) < kubeVirtTTL {
		return r.version
	}
	r.readAt, r.version = r.clock.Now(), nil
	answer, err := discovery.ToDiscoveryInterfaceWithContext(client.Discovery()).ServerVersionWithContext(ctx)
	if err != nil {
		return nil
	}
	if found, err := version.ParseGeneric(answer.GitVersion); err == nil {
		r.version = found
	}
	return r.version
}

// containerDiskWarnings warns of every disk that is a container image, and of nothing where the versions go together.
func (p *Plugin) containerDiskWarnings(ctx context.Context, spec *tensorstack.VirtualServerSpec, state kubeVirtState, path *field.Path) []string {
	var disks []*field.Path
	if spec.Storage.Root.ContainerDisk != nil {
		disks = append(disks, path.Child("root", "containerDisk"))
	}
	for i := range spec.Storage.AdditionalDisks {
		if spec.Storage.AdditionalDisks[i].ContainerDisk != nil {
			disks = append(disks, path.Child("additionalDisks").Index(i).Child("containerDisk"))
		}
	}
	if len(disks) == 0 {
		return nil
	}
	cluster := p.kubernetes.read(ctx, p.client)
	if !breaksContainerDisks(cluster, state.version) {
		return nil
	}
	var warnings []string
	for _, disk := range disks {
		warnings = append(warnings, fmt.Sprintf("%s: with KubeVirt %s on Kubernetes %s a machine with a containerDisk never starts with about half "+
			"of all images: ask an administrator for KubeVirt %s or later", disk, state.version, cluster, kubeVirtWithWideChecksums))
	}
	return warnings
}
