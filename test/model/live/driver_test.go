package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
	"tensorstack.dev/virtualserver/test/model/sequence"
	"tensorstack.dev/virtualserver/test/model/spec"
)

const (
	name = "machine"
	// quiet is how long nothing must change for a machine to be at rest.
	quiet = 400 * time.Millisecond
	poll  = 80 * time.Millisecond
)

// driver acts on one machine in a namespace of its own in a real control plane.
type driver struct {
	*framework.Environment
	machine string
	// accepted are operations that must stand in status.operations once everything has come to rest.
	accepted []types.UID

	mu        sync.Mutex
	instances map[types.UID]bool
}

var _ sequence.Driver = &driver{}

// newDriver creates a VirtualServer, and counts the instances of its machine from the first on.
func newDriver(t *testing.T, created v1beta1.RunStrategy) *driver {
	t.Helper()
	d := &driver{Environment: framework.New(t), instances: map[types.UID]bool{}}
	informers := dynamicinformer.NewFilteredDynamicSharedInformerFactory(d.Dynamic, 0, d.Namespace, nil)
	informer := informers.ForResource(schema.GroupVersionResource{
		Group: "kubevirt.io", Version: "v1", Resource: "virtualmachineinstances"}).Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: d.count, UpdateFunc: func(_, object any) { d.count(object) },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(d.Context)
	informers.Start(ctx.Done())
	t.Cleanup(func() {
		cancel()
		informers.Shutdown()
	})
	require.True(t, cache.WaitForCacheSync(ctx.Done(), informer.HasSynced))
	d.persist("create", func() error {
		_, err := d.Client().Create(d.Context, framework.Minimal(name, framework.WithStrategy(created)), metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	})
	return d
}

func (d *driver) count(object any) {
	if vmi, ok := object.(*unstructured.Unstructured); ok {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.instances[vmi.GetUID()] = true
	}
}

// persist does something that may be done twice until it succeeds: the product may be down now.
func (d *driver) persist(what string, do func() error) {
	d.T.Helper()
	d.Eventually(what, do)
}

// Do implements sequence.Driver.
func (d *driver) Do(a spec.Action, _ bool) (sequence.Answer, error) {
	switch a.Kind {
	case spec.Start, spec.Stop, spec.Restart:
		return d.operate(a)
	case spec.Edit:
		patch := fmt.Sprintf(`{"spec":{"runStrategy":%q}}`, a.Strategy)
		d.persist(a.String(), func() error {
			_, err := d.Client().Patch(d.Context, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			return err
		})
	case spec.MachineEdit:
		d.PatchMachine(d.machine, fmt.Sprintf(`{"spec":{"runStrategy":%q}}`, a.Strategy))
	case spec.Shutdown, spec.Crash, spec.Reboot:
		return d.guest(a.Kind), nil
	case spec.Pause, spec.Unpause:
		return d.kubevirt("virtualmachineinstances", string(a.Kind))
	case spec.MachineStart, spec.MachineStop, spec.MachineRestart:
		return d.kubevirt("virtualmachines", strings.TrimPrefix(string(a.Kind), "virtctl "))
	case spec.DeleteInstance:
		if d.Instance(d.machine) == nil {
			return sequence.Answer{Skipped: true}, nil
		}
		d.Delete("virtualmachineinstances", d.machine)
	case spec.DeleteMachine:
		return d.deleteMachine()
	case spec.Evict:
		// The specification knows what an eviction leads to if the product looks on. Here it is dead half of the time, and what
		// nobody saw is told by signs that a node of its own timing gives. TestEvictedMachine has the evictions.
		return sequence.Answer{Skipped: true}, nil
	default:
		return sequence.Answer{}, fmt.Errorf("nobody knows how to %s", a)
	}
	return sequence.Answer{Verdict: spec.Accepted}, nil
}

func (d *driver) deleteMachine() (sequence.Answer, error) {
	before := d.Machine(d.machine)
	d.Delete("virtualmachines", d.machine)
	d.Eventually("the VirtualMachine is made again", func() error {
		if vm := d.Machine(d.machine); vm == nil || vm.UID == before.UID {
			return errors.New("not yet")
		}
		return nil
	})
	return sequence.Answer{Verdict: spec.Accepted}, nil
}

// operate asks for an operation until the product answers, or an answer is lost.
func (d *driver) operate(a spec.Action) (sequence.Answer, error) {
	body, err := json.Marshal(map[string]bool{
		map[spec.Kind]string{spec.Start: "paused", spec.Stop: "force", spec.Restart: "force"}[a.Kind]: a.Forced || a.Paused,
	})
	if err != nil {
		return sequence.Answer{}, err
	}
	var answer sequence.Answer
	d.Eventually(a.String()+" is answered", func() error {
		vs := &v1beta1.VirtualServer{}
		err := d.VirtualServers.TensorstackV1beta1().RESTClient().Post().MaxRetries(0).
			AbsPath(framework.Path(d.Namespace), name, string(a.Kind)).
			SetHeader("Content-Type", "application/json").Body(body).Do(d.Context).Into(vs)
		switch {
		case err == nil:
			answer = sequence.Answer{Verdict: spec.Accepted}
			if pending := vs.Status.PendingOperation; pending != nil {
				d.accepted = append(d.accepted, pending.ID)
			}
		case code(err) == http.StatusConflict:
			answer = sequence.Answer{Verdict: spec.Refused}
		case unanswered(err):
			return err
		default:
			d.T.Logf("%s: %v", a, err)
			answer = sequence.Answer{Unknown: true}
		}
		return nil
	})
	return answer, nil
}

func code(err error) int {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return int(status.Status().Code)
	}
	return 0
}

// unanswered says that a request certainly never reached the product: the aggregator found nobody, or the product said
// that it did not accept it.
func unanswered(err error) bool {
	text := err.Error()
	return errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(text, "connection refused") ||
		strings.Contains(text, "service unavailable") || strings.Contains(text, "was not accepted") ||
		apierrors.IsNotFound(err) && strings.Contains(text, "could not find the requested resource") ||
		code(err) == http.StatusForbidden
}

// guest makes the guest do something and waits until it has.
func (d *driver) guest(kind spec.Kind) sequence.Answer {
	vmi := d.Instance(d.machine)
	if vmi == nil || vmi.Status.Phase != kubevirtv1.Running || vmi.DeletionTimestamp != nil || paused(vmi) {
		return sequence.Answer{Skipped: true}
	}
	fault := strings.TrimPrefix(string(kind), "guest ")
	d.GuestFault(d.machine, fault)
	d.Eventually("the guest does "+fault, func() error {
		now := d.Instance(d.machine)
		ended := now == nil || now.UID != vmi.UID || now.IsFinal()
		if ended || kind == spec.Reboot && now.Annotations[framework.GuestFaultAnnotation] == "" {
			return nil
		}
		return errors.New("not yet")
	})
	return sequence.Answer{Verdict: spec.Accepted}
}

func paused(vmi *kubevirtv1.VirtualMachineInstance) bool {
	return slices.ContainsFunc(vmi.Status.Conditions, func(c kubevirtv1.VirtualMachineInstanceCondition) bool {
		return c.Type == kubevirtv1.VirtualMachineInstancePaused && c.Status == corev1.ConditionTrue
	})
}

// kubevirt does what virtctl does.
func (d *driver) kubevirt(resource, operation string) (sequence.Answer, error) {
	err := d.Kube.Discovery().RESTClient().Put().AbsPath("/apis/subresources.kubevirt.io/v1/namespaces", d.Namespace,
		resource, d.machine, operation).Body([]byte("{}")).Do(d.Context).Error()
	switch {
	case err == nil:
		return sequence.Answer{Verdict: spec.Accepted}, nil
	case code(err) == http.StatusConflict, code(err) == http.StatusNotFound:
		return sequence.Answer{Verdict: spec.Refused}, nil
	default:
		return sequence.Answer{}, err
	}
}

// Settle implements sequence.Driver: it waits until what is observed is expected and has not changed for a while.
func (d *driver) Settle(expected func(sequence.Observed) bool) (sequence.Observed, error) {
	deadline := time.NewTimer(framework.DefaultTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var last sequence.Observed
	version, since := "", time.Now()
	for {
		observed, now, err := d.observe()
		if err == nil {
			if now != version {
				version, since = now, time.Now()
			}
			last = observed
			if expected(observed) && time.Since(since) >= quiet {
				return observed, d.checkLedger()
			}
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return last, err
		}
	}
}

// observe returns what is to be seen, and a text that changes whenever something does.
func (d *driver) observe() (sequence.Observed, string, error) {
	vs, err := d.Client().Get(d.Context, name, metav1.GetOptions{})
	if err != nil {
		return sequence.Observed{}, "", err
	}
	if d.machine = vs.Status.VM.Name; d.machine == "" {
		return sequence.Observed{}, "", errors.New("the machine has no name yet")
	}
	observed := sequence.Observed{
		Strategy: spec.Strategy(vs.Status.RunStrategy), Status: string(vs.Status.PrintableStatus),
		Pending: vs.Status.PendingOperation != nil, Machine: spec.Absent,
	}
	version := vs.ResourceVersion
	if vm := d.Machine(d.machine); vm != nil {
		strategy, err := vm.RunStrategy()
		if err != nil {
			return sequence.Observed{}, "", err
		}
		observed.MachineStrategy, observed.Queued = spec.Strategy(strategy), len(vm.Status.StateChangeRequests)
		version += "/" + vm.ResourceVersion
	}
	if vmi := d.Instance(d.machine); vmi != nil {
		observed.Machine = phaseOf(vmi)
		version += "/" + vmi.ResourceVersion
		d.mu.Lock()
		d.instances[vmi.UID] = true
		d.mu.Unlock()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	observed.Instances = len(d.instances)
	return observed, version, nil
}

func phaseOf(vmi *kubevirtv1.VirtualMachineInstance) spec.Phase {
	switch {
	case vmi.IsFinal():
		return spec.Ended
	case vmi.DeletionTimestamp != nil:
		return spec.Stopping
	case paused(vmi):
		return spec.Paused
	default:
		return spec.Live
	}
}

// checkLedger says whether each accepted operation has exactly one end.
func (d *driver) checkLedger() error {
	vs, err := d.Client().Get(d.Context, name, metav1.GetOptions{})
	if apierrors.IsServiceUnavailable(err) || err != nil && code(err) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	ends := map[types.UID]int{}
	for _, record := range vs.Status.Operations {
		ends[record.ID]++
	}
	for _, id := range d.accepted {
		if ends[id] != 1 {
			return fmt.Errorf("operation %s was accepted and has %d ends in status.operations", id, ends[id])
		}
	}
	d.accepted = nil
	return nil
}

// Describe implements sequence.Driver.
func (d *driver) Describe() string {
	text := "namespace " + d.Namespace
	vs, err := d.Client().Get(d.Context, name, metav1.GetOptions{})
	if err != nil {
		text += ": " + err.Error()
	}
	for _, object := range []any{vs, d.Machine(d.machine), d.Instance(d.machine)} {
		if encoded, err := yaml.Marshal(object); err == nil {
			text += "\n---\n" + string(encoded)
		}
	}
	return text
}
