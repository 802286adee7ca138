package serial

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/test/nodeagent/guest"
)

type system struct{ done []string }

func (*system) Hostname() string      { return "vm-1" }
func (*system) Uptime() time.Duration { return 90*time.Second + time.Millisecond }
func (*system) Disks() []guest.Disk {
	return []guest.Disk{{Target: "vda", Serial: "ROOT", Bytes: 4 << 30}, {Target: "vdb"}}
}
func (s *system) PowerOff() { s.done = append(s.done, "poweroff") }
func (s *system) Reboot()   { s.done = append(s.done, "reboot") }
func (s *system) Panic()    { s.done = append(s.done, "panic") }

// client is the other end of the line, with a deadline on everything.
type client struct {
	t    *testing.T
	conn net.Conn
	seen bytes.Buffer
}

func connect(t *testing.T, s System) *client {
	here, there := net.Pipe()
	require.NoError(t, here.SetDeadline(time.Now().Add(20*time.Second)))
	served := make(chan error, 1)
	go func() { served <- Serve(context.Background(), there, s) }()
	t.Cleanup(func() {
		_ = here.Close()
		assert.NoError(t, ignoreClosed(<-served))
	})
	return &client{t: t, conn: here}
}

func ignoreClosed(err error) error {
	if err != nil && strings.Contains(err.Error(), "closed pipe") {
		return nil
	}
	return err
}

// expect reads until the text has come and returns what came before it.
func (c *client) expect(text string) string {
	buffer := make([]byte, 256<<10)
	for !bytes.Contains(c.seen.Bytes(), []byte(text)) {
		n, err := c.conn.Read(buffer)
		require.NoError(c.t, err, "waiting for %q, got %q", text, c.seen.String())
		c.seen.Write(buffer[:n])
	}
	before, after, _ := strings.Cut(c.seen.String(), text)
	c.seen.Reset()
	c.seen.WriteString(after)
	return before
}

func (c *client) send(text string) {
	_, err := io.WriteString(c.conn, text)
	require.NoError(c.t, err)
}

func TestLoginAndCommands(t *testing.T) {
	c := connect(t, &system{})
	c.expect("login: ")
	go c.send("alice\r\n")
	c.expect("alice@vm-1:~$ ")
	for command, want := range map[string]string{
		"echo hello  world": "hello  world\r\n",
		`echo "quoted"`:     "quoted\r\n",
		"hostname":          "vm-1\r\n",
		"uptime":            "up 1m30s",
		"lsblk":             "vda    ROOT",
		"nonsense":          "nonsense: command not found",
		"sink":              "usage: sink BYTES",
		"sink -1":           "is not a number",
		"source x":          "is not a number",
	} {
		go c.send(command + "\r")
		assert.Contains(t, c.expect("alice@vm-1:~$ "), want, command)
	}
	go c.send("ech\x7f\x7f\x7fexit\r")
	c.expect("login: ")
}

func TestCommandAtTheLoginPrompt(t *testing.T) {
	c := connect(t, &system{})
	c.expect("login: ")
	go c.send("echo straight away\n")
	c.expect("straight away\r\nroot@vm-1:~$ ")
}

func TestMachineCommands(t *testing.T) {
	for command, closes := range map[string]bool{"poweroff": true, "panic": true, "reboot": false} {
		t.Run(command, func(t *testing.T) {
			s := &system{}
			c := connect(t, s)
			c.expect("login: ")
			go c.send(command + "\n")
			if closes {
				_, err := io.ReadAll(c.conn)
				require.NoError(t, err)
			} else {
				c.expect("login: ")
			}
			assert.Equal(t, []string{command}, s.done)
		})
	}
}

func TestBulk(t *testing.T) {
	const size = 3<<20 + 17
	data := make([]byte, size)
	_, err := io.ReadFull(Pattern(), data)
	require.NoError(t, err)
	sum := sha256.Sum256(data)
	want := "\r\nsha256 " + hex.EncodeToString(sum[:])

	for _, kind := range []string{"sink", "source", "cat"} {
		t.Run(kind, func(t *testing.T) {
			c := connect(t, &system{})
			c.expect("login: ")
			go c.send(fmt.Sprintf("%s %d\n", kind, size))
			c.expect(fmt.Sprintf("ready %d\r\n", size))
			if kind != "source" {
				go func() { _, _ = c.conn.Write(data) }()
			}
			got := c.expect(want)
			if kind != "sink" {
				assert.True(t, bytes.Equal(data, []byte(got)), "the bytes must arrive unchanged and in order")
			}
			go c.send("echo alive\n")
			c.expect("alive\r\nroot@vm-1:~$ ")
		})
	}
}

func TestContextEndsTheLine(t *testing.T) {
	here, there := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, there, &system{}) }()
	buffer := make([]byte, 64)
	_, err := here.Read(buffer)
	require.NoError(t, err)
	cancel()
	assert.NoError(t, <-served)
}

func FuzzTerminal(f *testing.F) {
	f.Add([]byte("root\recho x\rsink 3\nabcsource 5\ncat\rxyz\x03exit\r"))
	f.Add([]byte("\x7f\x15\x04\x03\r\n\r\n"))
	f.Fuzz(func(t *testing.T, input []byte) {
		if bytes.Contains(input, []byte("sink")) || bytes.Contains(input, []byte("source")) || bytes.Contains(input, []byte("reboot")) {
			t.Log("bulk sizes may be large; the other inputs are the interesting ones")
			return
		}
		line := &struct {
			io.Reader
			io.Writer
			io.Closer
		}{bytes.NewReader(input), io.Discard, io.NopCloser(nil)}
		_ = Serve(context.Background(), line, &system{})
	})
}
