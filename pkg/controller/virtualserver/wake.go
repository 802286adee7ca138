package virtualserver

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/pkg/status"
)

// wake lets a paused guest go on that is to shut down: frozen it would not see the power button, and be killed at the end of
// its grace period. It never stands in the way: the machine stops either way, and its message says why it takes so long.
func (p *pass) wake(ctx context.Context, observed status.Observed) {
	if !status.SleepsThroughShutdown(observed) {
		return
	}
	err := p.clients.KubeVirt.UnpauseInstance(ctx, p.vs.Namespace, p.name())
	switch {
	case err == nil:
		p.emit(eventNormal, "UnpausedToStop", "The paused machine goes on, so that its guest can shut down")
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		// It is not paused any more, or gone.
	default:
		klog.FromContext(ctx).Info("Cannot unpause a machine that is to stop", "err", err)
		p.outcome.retry = true
	}
}
