package controller

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Defaults of the leader election. They are those of the control plane of Kubernetes.
const (
	DefaultLeaseNamespace = "virtualserver-system"
	DefaultLeaseName      = "virtualserver-controller"
	DefaultLeaseDuration  = 15 * time.Second
	DefaultRenewDeadline  = 10 * time.Second
	DefaultRetryPeriod    = 2 * time.Second
)

// LeaderElection says how one of several servers is chosen to reconcile. The Lease lives in kube-apiserver and not in
// our own etcd: servers that do not share a store by mistake still see each other there.
type LeaderElection struct {
	// Namespace and Name are those of the Lease. They default to DefaultLeaseNamespace and DefaultLeaseName.
	Namespace string
	Name      string
	// Identity is unique among all servers. It defaults to the host name and a random part.
	Identity string
	// LeaseDuration is how long others wait for a silent leader. It is longer than RenewDeadline.
	LeaseDuration time.Duration
	// RenewDeadline is how long the leader tries to renew before it gives up. It is longer than 1.2 RetryPeriod.
	RenewDeadline time.Duration
	// RetryPeriod is the time between two attempts.
	RetryPeriod time.Duration
}

func (l LeaderElection) withDefaults() (LeaderElection, error) {
	if l.Namespace == "" {
		l.Namespace = DefaultLeaseNamespace
	}
	if l.Name == "" {
		l.Name = DefaultLeaseName
	}
	if l.LeaseDuration == 0 {
		l.LeaseDuration = DefaultLeaseDuration
	}
	if l.RenewDeadline == 0 {
		l.RenewDeadline = DefaultRenewDeadline
	}
	if l.RetryPeriod == 0 {
		l.RetryPeriod = DefaultRetryPeriod
	}
	if l.Identity == "" {
		host, err := os.Hostname()
		if err != nil {
			return l, fmt.Errorf("find the host name for the identity of the leader election: %w", err)
		}
		l.Identity = host + "_" + string(uuid.NewUUID())
	}
	return l, nil
}

// elector runs a function while this process holds the Lease.
type elector struct {
	settings LeaderElection
	lock     resourcelock.Interface
	clock    clock.Clock
}

func newElector(settings LeaderElection, client kubernetes.Interface, clock clock.Clock) (*elector, error) {
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, settings.Namespace, settings.Name,
		client.CoreV1(), client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: settings.Identity})
	if err != nil {
		return nil, fmt.Errorf("create the lock of the leader election: %w", err)
	}
	e := &elector{settings: settings, lock: lock, clock: clock}
	// The same checks run again for each term. Run them now, so that a wrong setting is an error at start.
	_, err = e.campaign(func(context.Context) {})
	return e, err
}

// run campaigns and, whenever it wins, calls term with a context that ends when the Lease is lost or ctx ends. It
// campaigns again only after term has returned, and gives the Lease up only after term has returned. It returns when ctx
// has ended and term has returned.
func (e *elector) run(ctx context.Context, term func(context.Context)) error {
	for ctx.Err() == nil {
		if err := e.runOnce(ctx, term); err != nil {
			return err
		}
	}
	return nil
}

func (e *elector) runOnce(ctx context.Context, term func(context.Context)) error {
	// The campaign outlives ctx for as long as the term needs to end, so that the Lease is renewed meanwhile.
	campaignContext, stopCampaign := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCampaign()

	// running is held while term runs.
	var running, mutex sync.Mutex
	leading := false
	campaign, err := e.campaign(func(leadContext context.Context) {
		running.Lock()
		defer running.Unlock()
		mutex.Lock()
		leading = true
		mutex.Unlock()
		defer stopCampaign()
		termContext, endTerm := context.WithCancel(leadContext)
		defer endTerm()
		defer context.AfterFunc(ctx, endTerm)()
		// client-go may call this only after the Lease was lost again.
		if termContext.Err() == nil && ctx.Err() == nil {
			term(termContext)
		}
	})
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() {
		mutex.Lock()
		defer mutex.Unlock()
		if !leading {
			stopCampaign()
		}
	})()
	campaign.Run(campaignContext)
	running.Lock()
	defer running.Unlock()
	e.release(context.WithoutCancel(ctx))
	return nil
}

// campaign returns an elector for one term. It does not release the Lease by itself: client-go does so before the
// function that leads has ended, and while it tries to, an expired leader goes on to lead.
func (e *elector) campaign(lead func(context.Context)) (*leaderelection.LeaderElector, error) {
	campaign, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:          e.lock,
		Name:          e.settings.Name,
		LeaseDuration: e.settings.LeaseDuration,
		RenewDeadline: e.settings.RenewDeadline,
		RetryPeriod:   e.settings.RetryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: lead,
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("check the settings of the leader election: %w", err)
	}
	return campaign, nil
}

// release gives the Lease up if this process holds it, so that the next leader need not wait for it to run out.
func (e *elector) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, e.settings.RetryPeriod)
	defer cancel()
	logger := klog.FromContext(ctx)
	record, _, err := e.lock.Get(ctx)
	if err != nil {
		logger.V(2).Info("Cannot read the Lease to give it up", "lease", e.lock.Describe(), "err", err)
		return
	}
	if record.HolderIdentity != e.lock.Identity() {
		return
	}
	released := *record
	released.HolderIdentity = ""
	released.LeaseDurationSeconds = 1
	released.RenewTime = metav1.NewTime(e.clock.Now())
	if err := e.lock.Update(ctx, released); err != nil {
		logger.V(2).Info("Cannot give the Lease up", "lease", e.lock.Describe(), "err", err)
	}
}
