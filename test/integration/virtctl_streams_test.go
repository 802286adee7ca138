package integration

import (
	"bytes"
	"encoding/json"
	"image/png"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/test/framework"
)

// endOfProcess is how long a program may take to end after it was told to.
const endOfProcess = 20 * time.Second

// virtctlReads are the commands that only look.
func virtctlReads() []step {
	return []step{
		{"version", func(t *testing.T, v *virtctl) {
			assert.Regexp(t, `Server Version: .*GitVersion:"v1\.7`, v.run("version"))
		}},
		{"guestosinfo", func(t *testing.T, v *virtctl) {
			info := struct {
				Hostname string
				OS       struct{ PrettyName string }
			}{}
			require.NoError(t, json.Unmarshal([]byte(v.run("guestosinfo", v.target)), &info))
			assert.Equal(t, "my-vs", info.Hostname, "it is the right machine")
			assert.Equal(t, "Simulated Linux 1.0", info.OS.PrettyName)
		}},
		{"fslist", func(t *testing.T, v *virtctl) {
			list := struct {
				Items []struct{ MountPoint, FileSystemType string }
			}{}
			require.NoError(t, json.Unmarshal([]byte(v.run("fslist", v.target)), &list))
			require.Len(t, list.Items, 1)
			assert.Equal(t, "/", list.Items[0].MountPoint)
		}},
		{"userlist", func(t *testing.T, v *virtctl) {
			assert.Positive(t, v.loginTime())
		}},
		{"vnc screenshot", func(t *testing.T, v *virtctl) {
			path := filepath.Join(t.TempDir(), "screen.png")
			v.run("vnc", "screenshot", v.target, "-f", path)
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			picture, err := png.Decode(bytes.NewReader(content))
			require.NoError(t, err)
			assert.Equal(t, 320, picture.Bounds().Dx())
		}},
	}
}

// virtctlStreams are the commands that connect a person to the machine.
func virtctlStreams() []step {
	return []step{
		{"console", virtctlConsole},
		{"vnc", virtctlVNC},
		{"port-forward", virtctlPortForward},
		{"ssh and scp", virtctlSSH},
		{"usbredir", virtctlUSB},
	}
}

func virtctlConsole(t *testing.T, v *virtctl) {
	console := v.Start(v.environ, "kubectl-virt", "console", v.target)
	console.WaitOutput("Successfully connected")
	console.Type("\r")
	console.WaitOutput("login: ")
	console.Type("hostname\r")
	console.WaitOutput("hostname\r\nmy-vs\r\n")
	console.Type("\x1d")
	assert.NoError(t, console.Wait(endOfProcess).Err, "Ctrl-] leaves the console")
}

func virtctlVNC(t *testing.T, v *virtctl) {
	proxy := v.Start(v.environ, "kubectl-virt", "vnc", "--proxy-only", v.target)
	printed := proxy.WaitOutput(`"port"`)
	port := regexp.MustCompile(`"port":(\d+)`).FindStringSubmatch(printed)
	require.NotNil(t, port, printed)
	viewer, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port[1]))
	require.NoError(t, err)
	defer viewer.Close()
	assert.Equal(t, v.Namespace+"/"+v.machine, rfbHandshake(t, viewer), "the screen is that of the machine")
	require.NoError(t, viewer.Close())
	proxy.Wait(endOfProcess)
}

// rfbHandshake connects as a viewer does (RFC 6143, 7.1 to 7.3) and returns the name of the screen.
func rfbHandshake(t *testing.T, connection net.Conn) string {
	t.Helper()
	require.NoError(t, connection.SetDeadline(time.Now().Add(framework.DefaultTimeout)))
	read := func(n int) []byte {
		t.Helper()
		buffer := make([]byte, n)
		_, err := io.ReadFull(connection, buffer)
		require.NoError(t, err)
		return buffer
	}
	write := func(content []byte) {
		t.Helper()
		_, err := connection.Write(content)
		require.NoError(t, err)
	}
	const version = "RFB 003.008\n"
	require.Equal(t, version, string(read(len(version))))
	write([]byte(version))
	types := read(int(read(1)[0]))
	require.Contains(t, types, byte(1), "no authentication")
	write([]byte{1})
	require.Equal(t, []byte{0, 0, 0, 0}, read(4), "the security handshake succeeds")
	write([]byte{1}) // shared
	const serverInit = 24
	header := read(serverInit)
	assert.Equal(t, []byte{320 >> 8, 320 & 0xff, 0, 200}, header[:4], "width and height")
	return string(read(int(header[serverInit-1])))
}

// portOfGuest is served by every guest and needs no privilege.
const portOfGuest = "8080"

func virtctlPortForward(t *testing.T, v *virtctl) {
	for _, kind := range []string{"vm/", "vmi/"} {
		stdio := v.Start(v.environ, "kubectl-virt", "port-forward", "--stdio=true", kind+v.target, portOfGuest)
		stdio.Type("GET / HTTP/1.0\r\nHost: guest\r\n\r\n")
		stdio.WaitOutput("hello from " + v.Namespace + "/" + v.machine)
	}
	port := freePort(t)
	forward := v.Start(v.environ, "kubectl-virt", "port-forward", "vm/"+v.target, port+":"+portOfGuest)
	v.Eventually("the forwarded port answers", func() error {
		response, err := http.Get("http://127.0.0.1:" + port)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || !strings.Contains(string(body), v.machine) {
			return notYet("%s %v", body, err)
		}
		return nil
	})
	forward.Interrupt()
	assert.NoError(t, forward.Wait(endOfProcess).Err)
}

// freePort is a port that was free a moment ago. virtctl cannot choose one by itself. It is none of those that the system gives
// away, nor one of the control plane's, which begin at 20000.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(10000 + rand.IntN(9000))
		if listener, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			require.NoError(t, listener.Close())
			return port
		}
	}
	require.FailNow(t, "no port is free")
	return ""
}

func virtctlSSH(t *testing.T, v *virtctl) {
	needs(t, "ssh")
	needs(t, "scp")
	v.guestServesSSH(t)
	options := []string{
		"--local-ssh-opts=-o StrictHostKeyChecking=no", "--local-ssh-opts=-o UserKnownHostsFile=/dev/null",
		"--local-ssh-opts=-o BatchMode=yes", "--local-ssh-opts=-o LogLevel=ERROR",
	}
	with := func(command string, arguments ...string) []string {
		return append(append([]string{command}, options...), arguments...)
	}

	assert.Equal(t, "my-vs", strings.TrimSpace(v.run(with("ssh", "--command=hostname", "root@vm/"+v.target)...)))

	content := strings.Repeat("carried over a console of nobody\n", 10000)
	v.run(with("scp", file(t, "sent", content), "root@vmi/"+v.target+":/received")...)
	back := filepath.Join(t.TempDir(), "back")
	v.run(with("scp", "root@vmi/"+v.target+":/received", back)...)
	returned, err := os.ReadFile(back)
	require.NoError(t, err)
	assert.Equal(t, content, string(returned))
}

// guestServesSSH skips where the simulated guest may not listen on port 22, because the tests do not run as root.
func (v *virtctl) guestServesSSH(t *testing.T) {
	t.Helper()
	connection, err := net.DialTimeout("tcp", net.JoinHostPort(v.Instance(v.machine).Status.Interfaces[0].IP, "22"), endOfProcess)
	if err != nil {
		t.Skipf("the simulated guest may not listen on port 22 here, so ssh and scp are not tried: %v", err)
	}
	require.NoError(t, connection.Close())
}

// virtctlUSB connects in place of usbredirect. The far end of the simulated machine sends back what it gets.
func virtctlUSB(t *testing.T, v *virtctl) {
	redirect := v.Start(v.environ, "kubectl-virt", "usbredir", "--no-launch", v.target)
	printed := redirect.WaitOutput("User can connect usbredir client at: ")
	address := regexp.MustCompile(`client at: (\S+)\s`).FindStringSubmatch(printed)
	require.NotNil(t, address, printed)
	device, err := net.Dial("tcp", address[1])
	require.NoError(t, err)
	defer device.Close()
	require.NoError(t, device.SetDeadline(time.Now().Add(framework.DefaultTimeout)))
	hello := []byte("a packet of usbredir")
	_, err = device.Write(hello)
	require.NoError(t, err)
	answer := make([]byte, len(hello))
	_, err = io.ReadFull(device, answer)
	require.NoError(t, err)
	assert.Equal(t, hello, answer)
}
