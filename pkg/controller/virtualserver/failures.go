package virtualserver

import (
	"sync"

	"k8s.io/client-go/tools/cache"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/status"
)

// failures remembers the unexpected end of machines until it stands in their status. KubeVirt removes an instance that failed
// within moments. The pass that looks at it may come too late, or its write may be refused because somebody wrote first.
type failures struct {
	mu   sync.Mutex
	seen map[cache.ObjectName]*v1beta1.MachineFailure
}

func (f *failures) remember(key cache.ObjectName, failure *v1beta1.MachineFailure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = map[cache.ObjectName]*v1beta1.MachineFailure{}
	}
	f.seen[key] = failure
}

// of returns the failure that is remembered, or nil. It must not be changed.
func (f *failures) of(key cache.ObjectName) *v1beta1.MachineFailure {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[key]
}

// forget drops what is remembered of the instance that the status has now. With nil the VirtualServer is gone.
func (f *failures) forget(key cache.ObjectName, written *v1beta1.MachineFailure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seen := f.seen[key]; seen != nil && (written == nil || written.InstanceUID == seen.InstanceUID) {
		delete(f.seen, key)
	}
}

// considered drops what is remembered, if it is this one, after a status that takes it into account has been written.
func (f *failures) considered(key cache.ObjectName, failure *v1beta1.MachineFailure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if failure != nil && f.seen[key] == failure {
		delete(f.seen, key)
	}
}

// sawEnded looks at an instance as it ends: at this moment it shows whether somebody wanted that.
func (c *Controller) sawEnded(vmi *kubevirtv1.VirtualMachineInstance) {
	for _, key := range c.caches.serversOf(vmi.Namespace, vmi.Name) {
		if failure := c.failureOf(key, vmi); failure != nil {
			c.failures.remember(key, failure)
		}
	}
}

// failureOf returns the unexpected end of an instance if the status of the VirtualServer does not have it yet.
func (c *Controller) failureOf(key cache.ObjectName, vmi *kubevirtv1.VirtualMachineInstance) *v1beta1.MachineFailure {
	vs := c.caches.server(key.Namespace, key.Name)
	if vs == nil || vs.Status.LastFailure != nil && vs.Status.LastFailure.InstanceUID == vmi.UID {
		return nil
	}
	p := newPass(c, vs)
	p.load()
	if p.instance = mine(p, vmi); p.instance == nil {
		return nil
	}
	return status.Failure(p.observe(c.clock.Now()))
}
