// Package handler plays virt-handler and virt-launcher: it takes machines from
// Scheduled to their end and serves the endpoint that virt-api dials.
package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/cluster"
	"tensorstack.dev/virtualserver/test/nodeagent/faults"
	"tensorstack.dev/virtualserver/test/nodeagent/guest"
	"tensorstack.dev/virtualserver/test/nodeagent/loop"
)

// errReverted says that KubeVirt's webhook undid a status change.
var errReverted = errors.New("KubeVirt reverted the machine's status: the identity of --kubevirt-kubeconfig " +
	"must be one of KubeVirt's own ServiceAccounts, such as kubevirt-controller")

// instance is a guest of this agent and the machine that it belongs to.
type instance struct {
	guest.Guest
	key string
	// pressed says that the power button was pressed.
	pressed bool
	// atBoot are the disks with which the guest was launched. It is nil for one that was taken up again.
	atBoot sets.Set[string]
}

// Handler is the virt-handler of all nodes that the agent serves.
type Handler struct {
	cluster    *cluster.Cluster
	hypervisor guest.Hypervisor
	// address is the address of every node.
	address  string
	loop     *loop.Loop
	sessions *sessions
	// guestContext outlives the loop, so that a stopping agent does not report
	// the end of guests that a restarted one takes up again.
	guestContext context.Context
	// touch asks the pod role to look at a launcher pod.
	touch func(*corev1.Pod)

	mu     sync.Mutex
	guests map[types.UID]instance
	// made are the claims in which a launcher has made a disk.
	made sets.Set[types.UID]
}

// New returns the role. guestContext ends the guests; it must end after Run
// has returned. address is the address of every node.
func New(guestContext context.Context, c *cluster.Cluster, hypervisor guest.Hypervisor, address string) *Handler {
	h := &Handler{
		cluster: c, hypervisor: hypervisor, guestContext: guestContext, address: address,
		sessions: newSessions(), touch: func(*corev1.Pod) {}, guests: map[types.UID]instance{},
		made: sets.New[types.UID](),
	}
	h.loop = loop.New("machines", h.reconcile)
	return h
}

// Register adds the informer handlers; call it before the informers start.
// touch is called with launcher pods whose guest has changed.
func (h *Handler) Register(touch func(*corev1.Pod)) error {
	h.touch = touch
	pods := h.cluster.Factory.Core().V1().Pods().Informer()
	nodes := h.cluster.Factory.Core().V1().Nodes().Informer()
	if _, err := h.cluster.VMIs.AddEventHandler(h.loop.Handler()); err != nil {
		return fmt.Errorf("watching machines: %w", err)
	}
	_, err := pods.AddEventHandler(h.loop.HandlerFor(func(object any) []string {
		pod, ok := object.(*corev1.Pod)
		if !ok || !isLauncher(pod) {
			return nil
		}
		if vmi := h.cluster.VMIOf(pod); vmi != nil {
			return []string{machineKey(vmi)}
		}
		return nil
	}))
	if err != nil {
		return fmt.Errorf("watching launcher pods: %w", err)
	}
	_, err = nodes.AddEventHandler(h.loop.HandlerFor(func(object any) []string {
		node, ok := object.(*corev1.Node)
		if !ok {
			return nil
		}
		if !h.cluster.Serves(node.Name) {
			h.dropSessions(node.Name)
		}
		return machineKeys(h.cluster.VMIsOn(node.Name))
	}))
	if err != nil {
		return fmt.Errorf("watching nodes: %w", err)
	}
	_, err = h.cluster.ConfigMaps.AddEventHandler(h.loop.HandlerFor(func(object any) []string {
		settings, ok := object.(*corev1.ConfigMap)
		if !ok {
			return nil
		}
		var vmis []*kubevirtv1.VirtualMachineInstance
		for _, object := range h.cluster.VMIs.GetStore().List() {
			if vmi := object.(*kubevirtv1.VirtualMachineInstance); vmi.Namespace == settings.Namespace {
				vmis = append(vmis, vmi)
			}
		}
		return machineKeys(vmis)
	}))
	if err != nil {
		return fmt.Errorf("watching settings: %w", err)
	}
	return nil
}

// Run works until the context ends.
func (h *Handler) Run(ctx context.Context, workers int) { h.loop.Run(ctx, workers) }

func machineKey(vmi *kubevirtv1.VirtualMachineInstance) string {
	return cache.MetaObjectToName(vmi).String()
}

func machineKeys(vmis []*kubevirtv1.VirtualMachineInstance) []string {
	names := make([]string, 0, len(vmis))
	for _, vmi := range vmis {
		names = append(names, machineKey(vmi))
	}
	return names
}

func (h *Handler) reconcile(ctx context.Context, key string) (time.Duration, error) {
	vmi := h.cluster.VMI(key)
	h.reap(key, vmi)
	if vmi == nil || !h.cluster.Serves(vmi.Status.NodeName) {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, cluster.RequestTimeout)
	defer cancel()
	launchers := h.cluster.Launchers(vmi)
	if vmi.DeletionTimestamp != nil || vmi.IsFinal() || vmi.Status.MigrationState != nil {
		for _, pod := range launchers {
			h.touch(pod)
		}
	}
	settings := h.cluster.Faults(ctx, vmi.Namespace)
	if err := h.obey(ctx, vmi); err != nil {
		return 0, err
	}
	v := h.look(vmi, launchers, settings)
	step := next(v)
	if v.guest != nil && v.guest.State == guest.Exited && !v.causeShown {
		for _, pod := range launchers {
			h.touch(pod)
		}
	}
	if err := h.act(vmi, step); err != nil {
		return 0, err
	}
	again, err := h.write(ctx, vmi, step.phase, settings)
	return shorter(step.again, again), err
}

// shorter is the smaller of two waits, of which zero means none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// reap ends the guests of machines that no longer exist, also of a former
// machine of the same name.
func (h *Handler) reap(key string, vmi *kubevirtv1.VirtualMachineInstance) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for uid, g := range h.guests {
		if g.key != key || vmi != nil && vmi.UID == uid {
			continue
		}
		g.End(guest.Destroyed)
		delete(h.guests, uid)
	}
}

func (h *Handler) guest(uid types.UID) (instance, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g, found := h.guests[uid]
	return g, found
}

// obey carries out the command in the machine's annotation.
func (h *Handler) obey(ctx context.Context, vmi *kubevirtv1.VirtualMachineInstance) error {
	command, err := faults.GuestCommand(vmi.Annotations)
	if err != nil {
		h.cluster.Recorder.Event(vmi, corev1.EventTypeWarning, "UnknownFault", err.Error())
		return nil
	}
	g, found := h.guest(vmi.UID)
	if command == "" || !found || vmi.Status.Phase != kubevirtv1.Running {
		return nil
	}
	switch command {
	case faults.Crash:
		g.End(guest.Crashed)
	case faults.Panic:
		g.End(guest.Panicked)
	case faults.OOM:
		g.End(guest.OutOfMemory)
	case faults.Shutdown:
		g.End(guest.PoweredOff)
	case faults.Reboot:
		// The command is taken back first: a guest must not reboot for ever.
		patch, err := json.Marshal([]operation{
			{Op: "replace", Path: "/metadata/resourceVersion", Value: vmi.ResourceVersion},
			{Op: "remove", Path: "/metadata/annotations/" + escape(faults.GuestAnnotation)},
		})
		if err != nil {
			return err
		}
		if err := h.patch(ctx, vmi, patch, &kubevirtv1.VirtualMachineInstance{}); err != nil {
			return err
		}
		return g.Reboot()
	}
	return nil
}

func (h *Handler) look(vmi *kubevirtv1.VirtualMachineInstance, launchers []*corev1.Pod, settings faults.Settings) view {
	v := view{phase: vmi.Status.Phase, grace: gracePeriod(vmi), settings: settings, causeShown: true}
	if start, stopping := stopStart(vmi, launchers); stopping {
		v.stopping, v.left = true, time.Until(start.Add(v.grace))
	}
	if g, found := h.guest(vmi.UID); found {
		status := g.Status()
		v.guest = &status
		if status.Exit == guest.OutOfMemory {
			v.causeShown = !slices.ContainsFunc(launchers, func(pod *corev1.Pod) bool {
				return pod.Spec.NodeName == vmi.Status.NodeName && !showsOOM(pod)
			})
		}
	}
	return v
}

func (h *Handler) act(vmi *kubevirtv1.VirtualMachineInstance, step verdict) error {
	g, found := h.guest(vmi.UID)
	switch {
	case step.launch:
		return h.launch(vmi)
	case found && step.kill:
		g.End(guest.Destroyed)
	case found && step.shutdown:
		if h.press(vmi.UID) {
			// virt-handler tells it for the first attempt only.
			h.cluster.Recorder.Event(vmi, corev1.EventTypeNormal, kubevirtv1.ShuttingDown.String(), "Signaled Graceful Shutdown")
		}
		g.Shutdown()
	}
	return nil
}

// press says whether the power button of the guest was never pressed before.
func (h *Handler) press(uid types.UID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	g, found := h.guests[uid]
	if !found || g.pressed {
		return false
	}
	g.pressed = true
	h.guests[uid] = g
	return true
}

func (h *Handler) launch(vmi *kubevirtv1.VirtualMachineInstance) error {
	key := machineKey(vmi)
	machine := newMachine(vmi, h.claimSize(vmi.Namespace), vmi.Status.Phase == kubevirtv1.Running)
	var atBoot sets.Set[string]
	if !machine.Attach {
		atBoot = namesOf(machine.Disks)
		h.makeDisks(vmi)
	}
	g, err := h.hypervisor.Launch(h.guestContext, machine, func() { h.loop.Add(key) })
	if err != nil {
		return fmt.Errorf("launching the guest of %s: %w", key, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.guests[vmi.UID] = instance{Guest: g, key: key, atBoot: atBoot}
	// The guest's first change may have come before it could be found here.
	h.loop.Add(key)
	return nil
}

func (h *Handler) claimSize(namespace string) claimSize {
	lister := h.cluster.Factory.Core().V1().PersistentVolumeClaims().Lister().PersistentVolumeClaims(namespace)
	return func(name string) int64 {
		claim, err := lister.Get(name)
		if err != nil {
			return 0
		}
		return claim.Status.Capacity.Storage().Value()
	}
}

// write brings the machine's status up to date; phase is empty if it stays.
func (h *Handler) write(ctx context.Context, vmi *kubevirtv1.VirtualMachineInstance, phase kubevirtv1.VirtualMachineInstancePhase,
	settings faults.Settings) (again time.Duration, err error) {
	if vmi.IsFinal() {
		return 0, nil
	}
	updated, now := vmi.DeepCopy(), metav1.Now()
	if phase != "" {
		setPhase(&updated.Status, phase, now)
	}
	if updated.IsFinal() {
		removeCondition(&updated.Status, kubevirtv1.VirtualMachineInstanceAgentConnected)
	}
	if g, found := h.guest(vmi.UID); found && alive(statusOf(g)) && updated.Status.Phase == kubevirtv1.Running {
		present, missing := plugged(updated, g.atBoot, disks(updated, h.claimSize(vmi.Namespace)), h.hasDisk)
		g.SetDisks(present)
		again = report(updated, g, settings, now)
		if len(missing) > 0 {
			h.cluster.Recorder.Event(vmi, corev1.EventTypeWarning, "HotplugFailed", noDisk)
			again = shorter(again, hotplugRetry)
		}
		again = shorter(again, migrate(updated, h.address, h.cluster.Serves, now))
	}
	if equality.Semantic.DeepEqual(vmi.Status, updated.Status) {
		return again, nil
	}
	patch, err := machinePatch(vmi, updated)
	if err != nil {
		return 0, err
	}
	var got kubevirtv1.VirtualMachineInstance
	if err := h.patch(ctx, vmi, patch, &got); err != nil {
		return 0, err
	}
	if phase == "" {
		return again, nil
	}
	if got.Status.Phase != phase {
		return 0, errReverted
	}
	h.announce(vmi, phase)
	klog.FromContext(ctx).V(1).Info("Machine changed phase", "machine", klog.KObj(vmi), "phase", phase)
	return again, nil
}

func statusOf(g guest.Guest) *guest.Status {
	status := g.Status()
	return &status
}

// announce records the events of virt-handler.
func (h *Handler) announce(vmi *kubevirtv1.VirtualMachineInstance, phase kubevirtv1.VirtualMachineInstancePhase) {
	switch phase {
	case kubevirtv1.Running:
		h.cluster.Recorder.Event(vmi, corev1.EventTypeNormal, "Started", "VirtualMachineInstance started.")
	case kubevirtv1.Succeeded:
		h.cluster.Recorder.Event(vmi, corev1.EventTypeNormal, "Stopped", "The VirtualMachineInstance was shut down.")
	case kubevirtv1.Failed:
		h.cluster.Recorder.Event(vmi, corev1.EventTypeWarning, "Stopped", "The VirtualMachineInstance crashed.")
	}
}

func (h *Handler) patch(ctx context.Context, vmi *kubevirtv1.VirtualMachineInstance, patch []byte, into *kubevirtv1.VirtualMachineInstance) error {
	return h.cluster.KubeVirt.Patch(types.JSONPatchType).Namespace(vmi.Namespace).
		Resource("virtualmachineinstances").Name(vmi.Name).Body(patch).Do(ctx).Into(into)
}
