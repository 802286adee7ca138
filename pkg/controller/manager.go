package controller

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	snapshotclient "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/controller/virtualserver"
	"tensorstack.dev/virtualserver/pkg/generated/clientset/versioned"
	"tensorstack.dev/virtualserver/pkg/kubevirt"
	"tensorstack.dev/virtualserver/pkg/version"
)

// DefaultWorkers is the number of VirtualServers that are reconciled at the same time.
const DefaultWorkers = 8

// Default limits of the requests to kube-apiserver, per second and at once. client-go's own limits of 5 and 10 would
// make the hundredth machine wait for minutes.
const (
	defaultQPS   = 200
	defaultBurst = 400
)

// Config is what the controller needs.
type Config struct {
	// Kubernetes is the configuration for kube-apiserver, with the ServiceAccount of the product. All foreign objects go
	// this way, so that RBAC and audit of the cluster apply to the controller as to anybody.
	Kubernetes *rest.Config
	// Loopback is the configuration for our own API server in this process, used for VirtualServers only. Its identity
	// skips RBAC and its requests do not depend on the aggregator, so the controller goes on to reconcile while the
	// APIService is unavailable.
	Loopback *rest.Config
	// LeaderElection chooses the one server that reconciles.
	LeaderElection LeaderElection
	// Workers is the number of VirtualServers that are reconciled at the same time. It defaults to DefaultWorkers.
	Workers int
	// Metrics count what the controller does, over all managers of the process. Without them nothing is counted.
	Metrics *virtualserver.Metrics
	// Traces takes the traces of reconciliations. It may be nil.
	Traces trace.TracerProvider
	// Clock is the time. It defaults to the real one.
	Clock clock.WithTicker
}

// Manager runs the controller while this process leads.
type Manager struct {
	elector *elector
	clients virtualserver.Clients
	metrics *virtualserver.Metrics
	workers int
	clock   clock.WithTicker
	leading atomic.Bool
}

// New returns a manager. It does not connect yet. The error says what is wrong with the configuration.
func New(config Config) (*Manager, error) {
	if config.Kubernetes == nil || config.Loopback == nil {
		return nil, errors.New("the controller needs a configuration for kube-apiserver and one for its own API server")
	}
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	if config.Workers == 0 {
		config.Workers = DefaultWorkers
	}
	if config.Workers < 0 {
		return nil, fmt.Errorf("the number of workers is %d, but must be at least 1", config.Workers)
	}
	settings, err := config.LeaderElection.withDefaults()
	if err != nil {
		return nil, err
	}

	clients, err := newClients(config)
	if err != nil {
		return nil, err
	}
	// The election has a client and thus a rate limit of its own: a busy controller must not lose the Lease.
	electionClient, err := kubernetes.NewForConfig(userAgent(config.Kubernetes, "leader-election"))
	if err != nil {
		return nil, fmt.Errorf("create the client of the leader election: %w", err)
	}
	elector, err := newElector(settings, electionClient, config.Clock)
	if err != nil {
		return nil, err
	}
	if config.Metrics == nil {
		config.Metrics = virtualserver.NewMetrics()
	}
	return &Manager{
		elector: elector, clients: clients, metrics: config.Metrics, workers: config.Workers, clock: config.Clock,
	}, nil
}

func newClients(config Config) (virtualserver.Clients, error) {
	kubernetesConfig := userAgent(config.Kubernetes, "reconcile")
	if kubernetesConfig.QPS <= 0 {
		kubernetesConfig.QPS, kubernetesConfig.Burst = defaultQPS, defaultBurst
	}
	kubernetesClient, err := kubernetes.NewForConfig(kubernetesConfig)
	if err != nil {
		return virtualserver.Clients{}, fmt.Errorf("create the client for kube-apiserver: %w", err)
	}
	kubevirtClient, err := kubevirt.NewClient(kubernetesConfig)
	if err != nil {
		return virtualserver.Clients{}, err
	}
	loopback, err := versioned.NewForConfig(userAgent(config.Loopback, "reconcile"))
	if err != nil {
		return virtualserver.Clients{}, fmt.Errorf("create the client for VirtualServers: %w", err)
	}
	snapshots, err := snapshotclient.NewForConfig(kubernetesConfig)
	if err != nil {
		return virtualserver.Clients{}, fmt.Errorf("create the client for VolumeSnapshots: %w", err)
	}
	return virtualserver.Clients{
		Kubernetes: kubernetesClient, KubeVirt: kubevirtClient, VirtualServers: loopback, Snapshots: snapshots,
		Traces: config.Traces,
	}, nil
}

func userAgent(config *rest.Config, part string) *rest.Config {
	config = rest.CopyConfig(config)
	config.UserAgent = version.UserAgent(kubevirt.FieldManager, part)
	return config
}

// Leading says whether this process reconciles now. The API server serves whether it does or not.
func (m *Manager) Leading() bool {
	return m.leading.Load()
}

// Run campaigns for the Lease and reconciles while it is held. It returns after ctx has ended, all workers have stopped
// and the Lease has been given up.
func (m *Manager) Run(ctx context.Context) error {
	return m.elector.run(ctx, func(ctx context.Context) {
		m.leading.Store(true)
		defer m.leading.Store(false)
		logger := klog.FromContext(ctx)
		logger.Info("Reconciling VirtualServers", "lease", m.elector.lock.Describe())
		// Caches and queue are those of this term: those of an earlier one are stale.
		virtualserver.NewController(m.clients, m.metrics, m.clock).Run(ctx, m.workers)
		logger.Info("Stopped reconciling VirtualServers")
	})
}
