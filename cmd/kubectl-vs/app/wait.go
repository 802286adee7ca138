package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"tensorstack.dev/virtualserver/cmd/kubectl-vs/await"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// secondLook is how long a wait that seems to be in vain goes on: what the server has seen may be old.
const secondLook = 2 * time.Second

// waitFor watches a machine until it is done or cannot be done any more, and prints each change of its state to standard error.
func (s *session) waitFor(ctx context.Context, name, what string, timeout time.Duration, judge func(*v1beta1.VirtualServer) await.Verdict) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	stopped := ctx
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	selector := fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = selector
			list, err := client.List(ctx, options)
			if apierrors.IsForbidden(err) {
				giveUp(err) // It would be asked again until the time is over.
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = selector
			return client.Watch(ctx, options)
		},
	}
	told := newTeller(s.ErrOut)
	defer told.end()
	var inVain await.Verdict
	_, err = watchtools.UntilWithSync(ctx, source, &v1beta1.VirtualServer{}, nil, func(event watch.Event) (bool, error) {
		vs, ok := event.Object.(*v1beta1.VirtualServer)
		if !ok {
			return false, nil
		}
		if event.Type == watch.Deleted {
			return false, fmt.Errorf("virtualserver %q was deleted", name)
		}
		told.tell(vs, time.Now())
		verdict := judge(vs)
		if verdict.Why == "" {
			return verdict.Done, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(secondLook):
		}
		now, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		inVain = judge(now)
		return inVain.Done || inVain.Why != "", nil
	})
	switch {
	case err == nil && inVain.Why != "":
		return fmt.Errorf("%s: it is of no use to wait: %s", what, plain(inVain.Why))
	case err == nil:
		return nil
	case apierrors.IsForbidden(context.Cause(ctx)):
		return context.Cause(ctx)
	case stopped.Err() != nil:
		return fmt.Errorf("%s: not waited for any longer (%w), but it goes on; last seen: %s", what, context.Cause(stopped), told.last)
	case errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
		return fmt.Errorf("%s: not done after %v, last seen: %s (try: %s)", what, timeout, told.last, s.again("why", name))
	}
	return err
}

// progress is the state of a machine in one line.
func progress(vs *v1beta1.VirtualServer) string {
	line := string(vs.Status.PrintableStatus)
	if line == "" {
		line = "Pending"
	}
	if vs.Status.Message != "" {
		line += ": " + vs.Status.Message
	}
	if pending := vs.Status.PendingOperation; pending != nil {
		if says := unlessSaid(vs.Status.Message, pending.Message); says != "" {
			line += fmt.Sprintf(" (%s: %s)", pending.Type, says)
		}
	}
	return plain(line)
}
