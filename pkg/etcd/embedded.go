// Package etcd runs the embedded etcd, and checks the etcd that the server stores its objects in.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/client/pkg/v3/logutil"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// startTimeout is how long the embedded etcd may take to become ready, which includes replaying its log.
const startTimeout = 2 * time.Minute

// maxSocketPath is the longest path of a unix socket on Linux (108 bytes with the end mark) and macOS (104).
const maxSocketPath = 100

// quotaBytes is the size at which etcd refuses writes: the largest that its documentation recommends.
const quotaBytes = 8 << 30

// Embedded is an etcd inside this process. It listens on a unix socket that only this user can reach and on nothing
// else, so it needs no certificates.
type Embedded struct {
	etcd     *embed.Etcd
	logLevel zap.AtomicLevel
	// logOutput is where the log goes instead of standard error, in tests.
	logOutput string
	lock      *fileutil.LockedFile
	endpoint  string
	// socketDir is set if the socket had to be put outside the data directory.
	socketDir string
}

// StartEmbedded runs an etcd that keeps its data in the directory, which is created if need be. Two servers cannot use
// one directory: the second fails at once.
func StartEmbedded(ctx context.Context, dataDir string) (_ *Embedded, err error) {
	dataDir, err = filepath.Abs(dataDir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	e := &Embedded{logLevel: zap.NewAtomicLevelAt(zap.WarnLevel)}
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	e.lock, err = fileutil.TryLockFile(filepath.Join(dataDir, "lock"), os.O_WRONLY|os.O_CREATE, 0o600)
	if errors.Is(err, fileutil.ErrLocked) {
		return nil, fmt.Errorf("data directory %s is in use by another server", dataDir)
	}
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	socket, err := e.socketPath(dataDir)
	if err != nil {
		return nil, err
	}
	e.endpoint = "unix://" + socket
	e.etcd, err = embed.StartEtcd(e.config(dataDir, socket))
	if err != nil {
		return nil, fmt.Errorf("embedded etcd: %w", err)
	}
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-e.etcd.Server.ReadyNotify():
		return e, nil
	case err := <-e.etcd.Err():
		return nil, fmt.Errorf("embedded etcd: %w", err)
	case <-ctx.Done():
		return nil, fmt.Errorf("embedded etcd: %w", ctx.Err())
	case <-timeout.C:
		return nil, fmt.Errorf("embedded etcd did not become ready within %s", startTimeout)
	}
}

// socketPath returns where the socket goes: into the data directory, or into a fresh private directory if the path would
// be longer than the system allows. A socket that a killed server left is removed.
func (e *Embedded) socketPath(dataDir string) (string, error) {
	path := filepath.Join(dataDir, "etcd.sock")
	if len(path) > maxSocketPath {
		dir, err := os.MkdirTemp("", "virtualserver-etcd-")
		if err != nil {
			return "", fmt.Errorf("directory for the socket of etcd: %w", err)
		}
		e.socketDir = dir
		path = filepath.Join(dir, "etcd.sock")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("remove the socket of an earlier etcd: %w", err)
	}
	return path, nil
}

func (e *Embedded) config(dataDir, socket string) *embed.Config {
	config := embed.NewConfig()
	config.Name = "virtualserver"
	config.Dir = filepath.Join(dataDir, "etcd")
	// There are no peers, so nothing listens for them. The advertised address is a name in the member list, no more.
	config.ListenPeerUrls = nil
	clients := []url.URL{{Scheme: "unix", Path: socket}}
	config.ListenClientUrls, config.AdvertiseClientUrls = clients, clients
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.EnableGRPCGateway = false
	config.QuotaBackendBytes = quotaBytes
	config.ZapLoggerBuilder = func(config *embed.Config) error {
		logging := logutil.DefaultZapLoggerConfig
		logging.Level = e.logLevel
		if e.logOutput != "" {
			logging.OutputPaths = []string{e.logOutput}
		}
		logger, err := logging.Build()
		if err != nil {
			return err
		}
		return embed.NewZapLoggerBuilder(logger)(config)
	}
	return config
}

// Endpoint is the address for clients in this process.
func (e *Embedded) Endpoint() string { return e.endpoint }

// Err reports that the etcd has ended by itself.
func (e *Embedded) Err() <-chan error { return e.etcd.Err() }

// Close stops the etcd and gives its directory free.
func (e *Embedded) Close() {
	if e.etcd != nil {
		// An etcd that is closed reports the end of each of its listeners as an error.
		e.logLevel.SetLevel(zap.FatalLevel)
		e.etcd.Close()
		e.etcd = nil
	}
	if e.socketDir != "" {
		_ = os.RemoveAll(e.socketDir)
	}
	if e.lock != nil {
		_ = e.lock.Close()
		e.lock = nil
	}
}
