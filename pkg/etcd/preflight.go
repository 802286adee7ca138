package etcd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/klog/v2"
)

// endpointTimeout is how long one endpoint may take to tell its version.
const endpointTimeout = 10 * time.Second

// A connection that carries a watch or a lease is asked whether it is alive this often, and given up after this long: without
// that a node that loses its power is noticed after a quarter of an hour. gRPC asks no more often than every 10 s.
const (
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = 5 * time.Second
)

// CheckTransport refuses addresses over which objects, and so passwords in cloud-init, would travel in the clear: http is
// for the loopback interface only. It also refuses https without a CA and half a key pair.
func CheckTransport(config storagebackend.TransportConfig) error {
	if (config.CertFile == "") != (config.KeyFile == "") {
		return fmt.Errorf("--etcd-certfile and --etcd-keyfile belong together: set both or none")
	}
	for _, server := range config.ServerList {
		address, err := url.Parse(server)
		if err != nil {
			return fmt.Errorf("--etcd-servers: %w", err)
		}
		switch address.Scheme {
		case "unix":
		case "http":
			if !isLoopback(address.Hostname()) {
				return fmt.Errorf("--etcd-servers: %s is not encrypted; http is allowed on the loopback interface only, "+
					"use https with --etcd-cafile, --etcd-certfile and --etcd-keyfile", server)
			}
		case "https":
			if config.TrustedCAFile == "" {
				return fmt.Errorf("--etcd-servers: %s needs --etcd-cafile, the CA that signed the certificate of etcd", server)
			}
		default:
			return fmt.Errorf("--etcd-servers: %q must begin with https://, or http:// on the loopback interface", server)
		}
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// NewClient returns a client of the etcd. The caller closes it.
func NewClient(ctx context.Context, config storagebackend.TransportConfig) (*clientv3.Client, error) {
	clientConfig := clientv3.Config{
		Endpoints: config.ServerList, DialTimeout: endpointTimeout, Context: ctx,
		DialKeepAliveTime: keepAliveTime, DialKeepAliveTimeout: keepAliveTimeout,
	}
	if config.TrustedCAFile != "" || config.CertFile != "" {
		tls, err := transport.TLSInfo{
			CertFile: config.CertFile, KeyFile: config.KeyFile, TrustedCAFile: config.TrustedCAFile,
		}.ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("TLS to etcd: %w", err)
		}
		clientConfig.TLS = tls
	}
	client, err := clientv3.New(clientConfig)
	if err != nil {
		return nil, fmt.Errorf("client of etcd: %w", err)
	}
	return client, nil
}

// CheckVersions asks every endpoint for its version, all at the same time. The watch cache needs progress notifications on
// request, which work since etcd 3.4.31 and 3.5.13; with an older etcd lists from the cache hang or come stale. An endpoint
// that does not answer is left out as long as another one does: a cluster of three serves with two. The error of a store of
// which nobody answers names each endpoint and why.
func CheckVersions(ctx context.Context, client *clientv3.Client) error {
	endpoints := client.Endpoints()
	answers := make([]endpointAnswer, len(endpoints))
	var group sync.WaitGroup
	for i, endpoint := range endpoints {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, endpointTimeout)
			defer cancel()
			status, err := client.Status(ctx, endpoint)
			if err != nil {
				answers[i] = endpointAnswer{silent: fmt.Errorf("etcd at %s does not answer: %w", endpoint, err)}
			} else if err := checkVersion(status.Version); err != nil {
				answers[i] = endpointAnswer{unfit: fmt.Errorf("etcd at %s: %w", endpoint, err)}
			}
		})
	}
	group.Wait()
	return judge(ctx, answers)
}

// endpointAnswer is what came of asking an endpoint: nothing if it will do.
type endpointAnswer struct {
	silent, unfit error
}

func judge(ctx context.Context, answers []endpointAnswer) error {
	var silent, unfit []error
	for _, answer := range answers {
		if answer.silent != nil {
			silent = append(silent, answer.silent)
		}
		if answer.unfit != nil {
			unfit = append(unfit, answer.unfit)
		}
	}
	if len(unfit) > 0 {
		return errors.Join(unfit...)
	}
	if len(silent) == len(answers) {
		return errors.Join(silent...)
	}
	for _, err := range silent {
		klog.FromContext(ctx).Error(err, "Starting without a member of etcd")
	}
	return nil
}

func checkVersion(found string) error {
	parsed, err := version.ParseSemantic(found)
	if err != nil {
		return fmt.Errorf("version %q: %w", found, err)
	}
	for _, minimum := range []string{"3.4.31", "3.5.13"} {
		wanted := version.MustParseSemantic(minimum)
		if parsed.Major() == wanted.Major() && parsed.Minor() == wanted.Minor() {
			if parsed.LessThan(wanted) {
				return fmt.Errorf("version %s is too old, it must be %s or later", found, minimum)
			}
			return nil
		}
	}
	if parsed.LessThan(version.MustParseSemantic("3.4.31")) {
		return fmt.Errorf("version %s is too old, it must be 3.4.31 or later", found)
	}
	return nil
}
