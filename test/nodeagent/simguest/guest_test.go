package simguest

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"tensorstack.dev/virtualserver/test/nodeagent/guest"
)

const patience = 10 * time.Second

func launch(t *testing.T, machine guest.Machine) guest.Guest {
	hypervisor := New(Options{Boot: time.Millisecond, Shutdown: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	g, err := hypervisor.Launch(ctx, machine, func() {})
	require.NoError(t, err)
	t.Cleanup(func() { cancel(); hypervisor.Wait() })
	return g
}

func reach(t *testing.T, g guest.Guest, state guest.State) {
	require.Eventually(t, func() bool { return g.Status().State == state }, patience, time.Millisecond, "the guest must become %s", state)
}

func TestEnds(t *testing.T) {
	tests := map[string]struct {
		act  func(guest.Guest)
		want guest.Exit
	}{
		"power button": {func(g guest.Guest) { g.Shutdown() }, guest.PoweredOff},
		"kill":         {func(g guest.Guest) { g.End(guest.Destroyed) }, guest.Destroyed},
		"oom":          {func(g guest.Guest) { g.End(guest.OutOfMemory) }, guest.OutOfMemory},
		"first counts": {func(g guest.Guest) { g.End(guest.Panicked); g.End(guest.Destroyed); g.Shutdown() }, guest.Panicked},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := launch(t, guest.Machine{})
			reach(t, g, guest.Running)
			test.act(g)
			reach(t, g, guest.Exited)
			<-g.Done()
			assert.Equal(t, test.want, g.Status().Exit)
			assert.ErrorIs(t, g.Pause(), guest.ErrNotRunning)
		})
	}
}

func TestPause(t *testing.T) {
	g := launch(t, guest.Machine{Paused: true})
	reach(t, g, guest.Paused)
	assert.ErrorIs(t, g.Pause(), guest.ErrNotRunning)
	assert.ErrorIs(t, g.Reboot(), guest.ErrNotRunning)
	g.Shutdown() // nobody sees it
	require.NoError(t, g.Resume())
	require.NoError(t, g.Freeze())
	assert.True(t, g.Status().Frozen)
	require.NoError(t, g.Reboot())
	assert.False(t, g.Status().Frozen, "a reboot thaws")
}

func TestServers(t *testing.T) {
	g := launch(t, guest.Machine{UID: "u", Namespace: "ns", Name: "vm", Hostname: "host", IP: "127.190.3.7", Ports: []int32{9999}})
	reach(t, g, guest.Running)
	dial := func(port string) (conn net.Conn) {
		require.Eventually(t, func() bool {
			var err error
			conn, err = net.Dial("tcp", "127.190.3.7:"+port)
			return err == nil
		}, patience, time.Millisecond, port)
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	echo := dial("9999")
	_, err := io.WriteString(echo, "ping")
	require.NoError(t, err)
	answer := make([]byte, 4)
	_, err = io.ReadFull(echo, answer)
	require.NoError(t, err)
	assert.Equal(t, "ping", string(answer))

	dial("8080")
	response, err := http.Get("http://127.190.3.7:8080/")
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, "hello from ns/vm\n", string(body))
}

func TestSSH(t *testing.T) {
	g := launch(t, guest.Machine{UID: "u", Hostname: "host"}).(*Guest)
	key, err := g.hostKey()
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { accept(ctx, listener, g.secureShell); close(served) }()
	config := &ssh.ClientConfig{User: "me", HostKeyCallback: ssh.FixedHostKey(key.PublicKey()), Timeout: patience}
	client, err := ssh.Dial("tcp", listener.Addr().String(), config)
	require.NoError(t, err)
	run := func(command string) (string, error) {
		session, err := client.NewSession()
		require.NoError(t, err)
		output, err := session.Output(command)
		return string(output), err
	}
	output, err := run("hostname")
	require.NoError(t, err)
	assert.Equal(t, "host\n", output)
	_, err = run("frobnicate")
	var exit *ssh.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, notFound, exit.ExitStatus())

	files, err := sftp.NewClient(client)
	require.NoError(t, err)
	written, err := files.Create("/hello.txt")
	require.NoError(t, err)
	_, err = written.Write([]byte("hi"))
	require.NoError(t, err)
	require.NoError(t, written.Close())
	read, err := files.Open("/hello.txt")
	require.NoError(t, err)
	content, err := io.ReadAll(read)
	require.NoError(t, err)
	assert.Equal(t, "hi", string(content))
	require.NoError(t, client.Close())
	cancel()
	<-served
}
