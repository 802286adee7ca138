package app

import (
	"context"
	"errors"
	"net/http"
	"path"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-base/metrics/legacyregistry"

	"tensorstack.dev/virtualserver/pkg/etcd"
	"tensorstack.dev/virtualserver/pkg/kubevirtprefix"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver/storage"
	"tensorstack.dev/virtualserver/pkg/stream"
)

// streams are the parts of the server that carry streams and operations to KubeVirt. They are made when the storage
// exists.
type streams struct {
	generic *genericapiserver.RecommendedConfig
	events  record.EventBroadcaster
	gateway *stream.Gateway
	store   *clientv3.Client
	records *etcd.Records
	// stopSharing ends what tells the other replicas about our sessions, and shared waits for it.
	stopSharing context.CancelFunc
	shared      sync.WaitGroup
}

// newStreams makes what can be made before the storage. The recorder of events stops when the context ends.
func newStreams(ctx context.Context, generic *genericapiserver.RecommendedConfig, config storagebackend.Config) (*streams, error) {
	client, err := kubernetes.NewForConfig(generic.ClientConfig)
	if err != nil {
		return nil, err
	}
	events := record.NewBroadcaster(record.WithContext(ctx))
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	// Sessions end after the context does, and their records after them.
	store, err := etcd.NewClient(context.WithoutCancel(ctx), config.Transport)
	if err != nil {
		return nil, err
	}
	records := etcd.NewRecords(store, path.Join(config.Prefix, "sessions")+"/")
	return &streams{generic: generic, events: events, store: store, records: records}, nil
}

// subresources implements rest.Subresources.
func (s *streams) subresources(servers *storage.Storage) (map[string]rest.Storage, error) {
	metrics := stream.NewMetrics()
	if err := metrics.Register(legacyregistry.Register); err != nil {
		return nil, err
	}
	var err error
	s.gateway, err = stream.New(stream.Config{
		Store:        servers.VirtualServer,
		Authorizer:   s.generic.Authorization.Authorizer,
		ClientConfig: s.generic.ClientConfig,
		Recorder:     s.events.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: "virtualserver-apiserver"}),
		Metrics:      metrics,
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

// close ends all streams with a reason, and then what they leave: their records and the recorder of their events.
func (s *streams) close(ctx context.Context) error {
	defer s.events.Shutdown()
	err := s.gateway.Sessions().Shutdown(ctx)
	s.stopSharing()
	s.shared.Wait()
	return errors.Join(err, s.store.Close())
}
