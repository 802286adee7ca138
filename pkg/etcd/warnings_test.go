package etcd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// The embedded etcd warns of requests that are slow, and says what they were. Here all are slow, and none may show what an object
// holds, such as the password in a cloud-init.
func TestWarningsOfTheEmbeddedEtcdHaveNoContent(t *testing.T) {
	dir := t.TempDir()
	logFile := filepath.Join(dir, "log")
	e := &Embedded{logLevel: zap.NewAtomicLevelAt(zap.WarnLevel), logOutput: logFile}
	socket := filepath.Join(dir, "s")
	config := e.config(dir, socket)
	config.WarningApplyDuration, config.WarningUnaryRequestDuration = time.Nanosecond, time.Nanosecond
	started, err := embed.StartEtcd(config)
	require.NoError(t, err)
	defer started.Close()
	<-started.Server.ReadyNotify()

	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + socket}})
	require.NoError(t, err)
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const secret = "hunter2-planted"
	_, err = client.Put(ctx, "/registry/a", secret)
	require.NoError(t, err)
	_, err = client.Get(ctx, "/registry/a")
	require.NoError(t, err)
	// The storage of the library writes like this.
	_, err = client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision("/registry/a"), ">", 0), clientv3.Compare(clientv3.Value("/registry/a"), "=", secret)).
		Then(clientv3.OpPut("/registry/a", secret+"-2"), clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpPut("/registry/b", secret)}, nil)).
		Else(clientv3.OpGet("/registry/a")).Commit()
	require.NoError(t, err)

	log := ""
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(logFile)
		require.NoError(t, err)
		log = string(content)
		return strings.Count(log, "took too long") >= 3
	}, 30*time.Second, 10*time.Millisecond, log)
	for _, form := range []string{secret, "aHVudGVyMi1wbGFudGVk"} {
		for line := range strings.Lines(log) {
			assert.NotContains(t, line, form)
		}
	}
}
