package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/cmd/virtualserver-apiserver/app/options"
	"tensorstack.dev/virtualserver/pkg/controller"
	"tensorstack.dev/virtualserver/pkg/controller/virtualserver"
	"tensorstack.dev/virtualserver/pkg/etcd"
)

// rememberPeriod is how often the revision of the store is noted in the cluster. A backup that is restored is recognized
// if it is older than the last note.
const rememberPeriod = time.Minute

// controllers runs the controllers of this process on a store that has been checked.
type controllers struct {
	options    *options.Options
	kubernetes *rest.Config
	metrics    *virtualserver.Metrics
	traces     trace.TracerProvider
}

// run is an apiserver.ControllerFunc.
func (c controllers) run(ctx context.Context, loopback *rest.Config) error {
	store, err := etcd.NewClient(ctx, c.options.Recommended.Etcd.StorageConfig.Transport)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	guard, err := c.guard(store)
	if err != nil {
		return err
	}
	if err := guard.Check(ctx); err != nil {
		return err
	}
	manager, err := c.manager(loopback)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return manager.Run(ctx) })
	group.Go(func() error { return remember(ctx, guard, manager.Leading) })
	return group.Wait()
}

func (c controllers) guard(store *clientv3.Client) (*etcd.Guard, error) {
	client, err := kubernetes.NewForConfig(c.kubernetes)
	if err != nil {
		return nil, fmt.Errorf("client for the identity of the store: %w", err)
	}
	return &etcd.Guard{
		Store: store, Prefix: c.options.Recommended.Etcd.StorageConfig.Prefix,
		Cluster: client, Namespace: c.options.Store.Namespace, Adopt: c.options.Store.Adopt,
	}, nil
}

func (c controllers) manager(loopback *rest.Config) (*controller.Manager, error) {
	election := c.options.Controllers
	return controller.New(controller.Config{
		Kubernetes: c.kubernetes,
		Loopback:   loopback,
		Metrics:    c.metrics,
		Traces:     c.traces,
		Workers:    election.Workers,
		LeaderElection: controller.LeaderElection{
			Namespace:     c.options.Store.Namespace,
			LeaseDuration: election.LeaseDuration,
			RenewDeadline: election.RenewDeadline,
			RetryPeriod:   election.RetryPeriod,
		},
	})
}

// remember notes the revision of the store while this process leads, and fails if the store is exchanged under it.
func remember(ctx context.Context, guard *etcd.Guard, leading func() bool) error {
	ticker := time.NewTicker(rememberPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if !leading() {
			continue
		}
		err := guard.Remember(ctx)
		var mismatch *etcd.MismatchError
		if errors.As(err, &mismatch) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Cannot note the revision of the store; the next attempt follows", "in", rememberPeriod)
		}
	}
}
