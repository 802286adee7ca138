package crash

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
)

// machinesInStorm is how many machines are restarted at the same time.
const machinesInStorm = 20

// testRestartStorm kills the product at random points while machines are restarted. Each restart that was accepted must
// make exactly one new instance: fewer are lost operations, more are doubled ones.
func testRestartStorm(t *testing.T, e *framework.Environment) {
	plan := newPlan(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute+time.Duration(len(plan.blows))*15*time.Second)
	defer cancel()
	e.Context = ctx
	storm := newStorm(e, plan)
	began := time.Now()
	storm.rage()
	storm.settle()

	accepted, created := 0, 0
	for _, r := range storm.restarters {
		machine := e.Get(r.name).Status.VM.Name
		restarts := len(r.accepted)
		instances := storm.watcher.count(machine) - 1
		accepted, created = accepted+restarts, created+instances
		assert.Equal(t, restarts, instances, "%s: restarts that were accepted and new instances of %s: %v", r.name, machine, r.accepted)
	}
	assert.GreaterOrEqual(t, accepted, machinesInStorm, "a storm restarts every machine")
	asked, refused, broken := 0, 0, 0
	for _, r := range storm.restarters {
		asked, refused, broken = asked+r.asked, refused+r.refused, broken+r.broken
	}
	t.Logf("%d kills in %v over %d machines, seed %d: %d requests (%d refused, %d without an answer), %d restarts accepted, %d new instances",
		storm.kills, time.Since(began).Round(time.Second), machinesInStorm, plan.seed, asked, refused, broken, accepted, created)
}

// storm is the machines, those who restart them, and the one who kills the product.
type storm struct {
	product
	plan       plan
	watcher    *watcher
	restarters []*restarter
	// kills counts those that were carried out: a blow at a product that starts is the second.
	kills int
}

// newStorm makes the machines and waits until all of them run.
func newStorm(e *framework.Environment, plan plan) *storm {
	e.T.Helper()
	s := &storm{product: product{e}, plan: plan}
	for i := range machinesInStorm {
		name := fmt.Sprintf("machine-%02d", i)
		e.Create(framework.Minimal(name))
		s.restarters = append(s.restarters, &restarter{
			e: e, name: name, random: plan.random(uint64(i) + 1), accepted: map[types.UID]v1beta1.OperationResult{},
		})
	}
	for _, r := range s.restarters {
		e.WaitFor(3*time.Minute, r.name, "runs", func(vs *v1beta1.VirtualServer) string {
			if vs.Status.PrintableStatus != v1beta1.StatusRunning {
				return "not yet"
			}
			return ""
		})
	}
	s.watcher = watch(e)
	for _, r := range s.restarters {
		require.Equal(e.T, 1, s.watcher.count(e.Get(r.name).Status.VM.Name), "%s has run once", r.name)
	}
	return s
}

// rage restarts and kills until the plan is done.
func (s *storm) rage() {
	s.T.Helper()
	asking, stopAsking := context.WithCancel(s.Context)
	defer stopAsking()
	var group errgroup.Group
	for _, r := range s.restarters {
		group.Go(func() error { return r.run(asking) })
	}
	for i, blow := range s.plan.blows {
		if i > 0 && i%50 == 0 {
			s.T.Logf("%d of %d kills", i, len(s.plan.blows))
		}
		require.NoError(s.T, s.strike(blow), "kill %d of %d, %+v", i+1, len(s.plan.blows), blow)
	}
	stopAsking()
	require.NoError(s.T, group.Wait())
}

// strike waits for the moment of the blow, kills the product and starts it again. The product runs before and after.
func (s *storm) strike(b blow) error {
	if err := s.await(b); err != nil {
		return err
	}
	if err := s.killOnce(b); err != nil {
		return err
	}
	if !b.starting {
		return s.Plane.StartComponent(s.Context, controlplane.Product)
	}
	// Once more, before it is ready.
	starting, interrupt := context.WithCancel(s.Context)
	defer interrupt()
	var group errgroup.Group
	group.Go(func() error {
		// It ends with the product half started.
		_ = s.Plane.StartComponent(starting, controlplane.Product)
		return nil
	})
	err := pause(s.Context, b.after)
	interrupt()
	_ = group.Wait()
	if err != nil {
		return err
	}
	if err := s.killOnce(b); err != nil {
		return err
	}
	return s.Plane.StartComponent(s.Context, controlplane.Product)
}

// await returns when so many machines have changed, or when the time is over.
func (s *storm) await(b blow) error {
	timer := time.NewTimer(b.after)
	defer timer.Stop()
	for range b.events {
		select {
		case <-s.watcher.changes:
		case <-timer.C:
			return nil
		case <-s.Context.Done():
			return s.Context.Err()
		}
	}
	return nil
}

func (s *storm) killOnce(b blow) error {
	s.kills++
	if err := s.Plane.Kill(s.Context, controlplane.Product); err != nil || b.waitLease {
		return err
	}
	err := s.Kube.CoordinationV1().Leases(productNamespace).Delete(s.Context, productLease, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// settle waits until every machine runs and nothing is pending, and takes down how the last restarts have ended.
func (s *storm) settle() {
	s.T.Helper()
	for _, r := range s.restarters {
		vs := s.WaitFor(5*time.Minute, r.name, "has settled", func(vs *v1beta1.VirtualServer) string {
			if vs.Status.PrintableStatus != v1beta1.StatusRunning || vs.Status.PendingOperation != nil {
				return "not yet"
			}
			return ""
		})
		require.NoError(s.T, r.takeDown(vs))
		for id, result := range r.accepted {
			require.NotEmpty(s.T, result, "%s: restart %s has an end", r.name, id)
		}
		// The cache of the watcher may be behind.
		s.Eventually(r.name+" is seen in its present instance", func() error {
			if instance := s.Instance(vs.Status.VM.Name); instance == nil || !s.watcher.knows(vs.Status.VM.Name, instance.UID) {
				return fmt.Errorf("not seen yet")
			}
			return nil
		})
	}
}
