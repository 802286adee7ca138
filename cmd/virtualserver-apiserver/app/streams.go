package app

import (
	"context"
	"errors"
	"net/http"
	"path"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"tensorstack.dev/virtualserver/pkg/etcd"
	"tensorstack.dev/virtualserver/pkg/kubevirtprefix"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver/storage"
	"tensorstack.dev/virtualserver/pkg/stream"
)

// streams are the parts of the server that carry streams and operations to KubeVirt. They are made when the storage
// exists.
type streams struct {
	generic *genericapiserver.RecommendedConfig
	events  *events
	gateway *stream.Gateway
	store   *clientv3.Client
	records *etcd.Records
	metrics *stream.Metrics
	// stopSharing ends what tells the other replicas about our sessions, and shared waits for it.
	stopSharing context.CancelFunc
	shared      sync.WaitGroup
}

// eventsTimeout is how long the last events may take when the server stops.
const eventsTimeout = 2 * time.Second

// newStreams makes what can be made before the storage.
func newStreams(ctx context.Context, generic *genericapiserver.RecommendedConfig, config storagebackend.Config, metrics *stream.Metrics) (*streams, error) {
	client, err := kubernetes.NewForConfig(generic.ClientConfig)
	if err != nil {
		return nil, err
	}
	// Sessions end after the context does, and their records after them.
	store, err := etcd.NewClient(context.WithoutCancel(ctx), config.Transport)
	if err != nil {
		return nil, err
	}
	sink := &typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")}
	return &streams{
		generic: generic, events: newEvents(ctx, sink), store: store,
		records: etcd.NewRecords(store, path.Join(config.Prefix, "sessions")+"/"),
		metrics: metrics,
	}, nil
}

// subresources implements rest.Subresources.
func (s *streams) subresources(servers *storage.Storage) (map[string]rest.Storage, error) {
	var err error
	s.gateway, err = stream.New(stream.Config{
		Store:        servers.VirtualServer,
		Authorizer:   s.generic.Authorization.Authorizer,
		ClientConfig: s.generic.ClientConfig,
		Recorder:     s.events.recorder,
		Metrics:      s.metrics,
		Records:      s.records,
	})
	if err != nil {
		return nil, err
	}
	sharing, stop := context.WithCancel(context.Background())
	s.stopSharing = stop
	s.shared.Go(func() { s.gateway.Sessions().Share(sharing) })
	return map[string]rest.Storage{
		"console":          storage.NewConsoleREST(s.gateway),
		"vnc":              storage.NewVNCREST(s.gateway),
		"portforward":      storage.NewPortForwardREST(s.gateway),
		"usbredir":         storage.NewUSBRedirREST(s.gateway),
		"sessions":         storage.NewSessionsREST(s.gateway.Sessions()),
		"pause":            storage.NewPauseREST(s.gateway),
		"unpause":          storage.NewUnpauseREST(s.gateway),
		"softreboot":       storage.NewSoftRebootREST(s.gateway),
		"reset":            storage.NewResetREST(s.gateway),
		"guestosinfo":      storage.NewGuestOSInfoREST(s.gateway),
		"userlist":         storage.NewUserListREST(s.gateway),
		"filesystemlist":   storage.NewFilesystemListREST(s.gateway),
		"addvolume":        storage.NewAddVolumeREST(s.gateway),
		"removevolume":     storage.NewRemoveVolumeREST(s.gateway),
		"migrate":          storage.NewMigrateREST(s.gateway),
		"memorydump":       storage.NewMemoryDumpREST(s.gateway),
		"removememorydump": storage.NewRemoveMemoryDumpREST(s.gateway),
	}, nil
}

// handlers serves the KubeVirt prefix in front of the API.
func (s *streams) handlers(api http.Handler) http.Handler {
	return kubevirtprefix.InFrontOf(api, s.gateway)
}

// requestInfo tells what requests below the KubeVirt prefix are.
func (s *streams) requestInfo(next apirequest.RequestInfoResolver) apirequest.RequestInfoResolver {
	return kubevirtprefix.RequestInfoResolver{Next: next}
}

// close ends all streams with a reason, and then what they leave: their records and the recorder of their events, which has time
// of its own, since the streams may have used up theirs.
func (s *streams) close(ctx context.Context) error {
	err := s.gateway.Sessions().Shutdown(ctx)
	s.stopSharing()
	s.shared.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventsTimeout)
	defer cancel()
	s.events.shutdown(ctx)
	return errors.Join(err, s.store.Close())
}
