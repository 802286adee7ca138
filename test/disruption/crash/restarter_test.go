package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// restarter restarts one machine again and again, through a server that is killed all the time, and keeps account of what
// was accepted.
type restarter struct {
	e    *framework.Environment
	name string
	// random decides how each restart is asked for.
	random *rand.Rand

	// accepted are the restarts that the server accepted, each with its result, empty while it is pending.
	accepted map[types.UID]v1beta1.OperationResult
	// asked, refused and broken count the requests, those that the server refused, and those without an answer.
	asked, refused, broken int
}

// run asks until ctx ends, and then finds out what has become of the last request.
func (r *restarter) run(ctx context.Context) error {
	for ctx.Err() == nil {
		vs, err := r.look(r.e.Context)
		if err != nil {
			return err
		}
		// Now and then a restart is asked for while another is pending or the machine starts: it is merged, refused, or
		// meant for the next instance. A forced one would take the place of a graceful one for the same instance.
		settled := vs.Status.PendingOperation == nil && vs.Status.PrintableStatus == v1beta1.StatusRunning
		impatient := r.random.IntN(200) == 0
		if !settled && !impatient {
			if err := pause(ctx, 25*time.Millisecond); err != nil {
				break
			}
			continue
		}
		body := `{}`
		if settled && r.random.IntN(3) == 0 {
			body = `{"force":true}`
		}
		if err := r.ask(body); err != nil {
			return err
		}
	}
	_, err := r.look(r.e.Context)
	return err
}

// ask asks for a restart once. What an answer says is accepted must be in the store from then on.
func (r *restarter) ask(body string) error {
	ctx, cancel := context.WithTimeout(r.e.Context, 10*time.Second)
	defer cancel()
	r.asked++
	vs := &v1beta1.VirtualServer{}
	err := r.e.VirtualServers.TensorstackV1beta1().RESTClient().Post().MaxRetries(0).
		AbsPath(framework.Path(r.e.Namespace), r.name, "restart").SetHeader("Content-Type", "application/json").
		Body([]byte(body)).Do(ctx).Into(vs)
	switch {
	case apierrors.IsConflict(err):
		r.refused++
	case err != nil:
		// Killed, restarting, or busy: it may have been accepted or not. The store knows.
		r.broken++
	}
	answered := types.UID("")
	if err == nil {
		if vs.Status.PendingOperation == nil {
			return fmt.Errorf("%s: a restart was accepted and is not in the answer", r.name)
		}
		answered = vs.Status.PendingOperation.ID
	}
	if _, err := r.look(r.e.Context); err != nil {
		return err
	}
	if _, known := r.accepted[answered]; answered != "" && !known {
		return fmt.Errorf("%s: restart %s was accepted and then lost", r.name, answered)
	}
	return nil
}

// look reads the VirtualServer, however long that takes, and takes down every restart in it.
func (r *restarter) look(ctx context.Context) (*v1beta1.VirtualServer, error) {
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		vs, err := r.e.Client().Get(attempt, r.name, metav1.GetOptions{})
		cancel()
		if err == nil {
			return vs, r.takeDown(vs)
		}
		if pauseErr := pause(ctx, 50*time.Millisecond); pauseErr != nil {
			return nil, errors.Join(pauseErr, err)
		}
	}
}

func (r *restarter) takeDown(vs *v1beta1.VirtualServer) error {
	if op := vs.Status.PendingOperation; op != nil {
		if op.Type != v1beta1.OperationRestart {
			return fmt.Errorf("%s: nobody asked for a %s", r.name, op.Type)
		}
		if _, known := r.accepted[op.ID]; !known {
			r.accepted[op.ID] = ""
		}
	}
	for _, record := range vs.Status.Operations {
		if before := r.accepted[record.ID]; before != "" && before != record.Result {
			return fmt.Errorf("%s: restart %s has ended twice: %s and %s", r.name, record.ID, before, record.Result)
		}
		if record.Result == v1beta1.OperationFailed {
			return fmt.Errorf("%s: restart %s failed: %s", r.name, record.ID, record.Message)
		}
		r.accepted[record.ID] = record.Result
	}
	return nil
}

// pause lets time pass between two looks at the same thing.
func pause(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
