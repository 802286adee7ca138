package app

import (
	"context"
	"os"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"tensorstack.dev/virtualserver/pkg/controller/virtualserver"
	"tensorstack.dev/virtualserver/pkg/etcd"
	"tensorstack.dev/virtualserver/pkg/held"
	"tensorstack.dev/virtualserver/pkg/stream"
	"tensorstack.dev/virtualserver/pkg/telemetry"
)

// measures are all metrics of this product. There is one of each in a process.
type measures struct {
	registry     *telemetry.Registry
	controller   *virtualserver.Metrics
	stream       *stream.Metrics
	held         *held.Metrics
	store        *etcd.Metrics
	certificates *telemetry.CertificateMetrics
}

func newMeasures() (*measures, error) {
	m := &measures{
		registry: telemetry.New(), controller: virtualserver.NewMetrics(), stream: stream.NewMetrics(), held: held.NewMetrics(),
		store: etcd.NewMetrics(), certificates: telemetry.NewCertificateMetrics(),
	}
	all := m.controller.All()
	all = append(all, m.stream.All()...)
	all = append(all, m.held.All()...)
	all = append(all, m.store.All()...)
	all = append(all, m.certificates.All()...)
	return m, m.registry.Register(all...)
}

// install serves the metrics, and keeps those right that nobody's action changes.
func (m *measures) install(server *genericapiserver.GenericAPIServer, streams *streams, certificates []telemetry.Certificate) error {
	server.Handler.NonGoRestfulMux.Handle(telemetry.Path, m.registry.Handler())
	return server.AddPostStartHook("observe-store-and-certificates", func(hook genericapiserver.PostStartHookContext) error {
		ctx := context.Context(hook)
		go m.store.Observe(ctx, streams.store)
		go m.certificates.Observe(ctx, certificates)
		return nil
	})
}

// certificatesOf names the certificates that the server uses.
func certificatesOf(config *genericapiserver.Config, files map[string]string) []telemetry.Certificate {
	var certificates []telemetry.Certificate
	if serving := config.SecureServing; serving != nil && serving.Cert != nil {
		certificates = append(certificates, telemetry.Certificate{Name: "serving", PEM: func() ([]byte, error) {
			content, _ := serving.Cert.CurrentCertKeyContent()
			return content, nil
		}})
	}
	for name, file := range files {
		if file != "" {
			certificates = append(certificates, telemetry.Certificate{Name: name, PEM: func() ([]byte, error) { return os.ReadFile(file) }})
		}
	}
	return certificates
}
