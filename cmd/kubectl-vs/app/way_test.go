package app

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// proxiedCluster answers every stream with "here" and every other request with a VirtualServer, and notes what it was asked.
type proxiedCluster struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newProxiedCluster(t *testing.T) *proxiedCluster {
	t.Helper()
	c := &proxiedCluster{}
	c.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.asked = append(c.asked, r.URL.Path)
		c.mu.Unlock()
		if !websocket.IsWebSocketUpgrade(r) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"apiVersion":"tensorstack.dev/v1beta1","kind":"VirtualServer","metadata":{"name":"my-vs","namespace":"team"},"spec":{}}`)
			return
		}
		connection, err := (&websocket.Upgrader{Subprotocols: []string{plainProtocol}}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer connection.Close()
		_ = connection.WriteMessage(websocket.BinaryMessage, []byte("here"))
		closeFrame(connection, websocket.CloseNormalClosure, "")
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *proxiedCluster) paths() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.asked
	c.asked = nil
	return asked
}

// authority is the CA of the servers of httptest, which all have the same.
func (c *proxiedCluster) authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})
}

// ways are commands of each kind, and the paths that they ask for.
func ways() map[string][]string {
	const vs = "/apis/tensorstack.dev/v1beta1/namespaces/team/virtualservers/my-vs"
	return map[string][]string{
		"console my-vs":                 {vs + "/console"},
		"port-forward --stdio my-vs 22": {vs + "/portforward/22"},
		"vnc --proxy-only my-vs":        {vs + "/vnc"},
		"vnc --screenshot - my-vs":      {vs + "/vnc/screenshot"},
		"pause my-vs":                   {vs + "/pause", vs},
	}
}

// execute runs a command with a kubeconfig of one cluster.
func execute(t *testing.T, entry *clientcmdapi.Cluster, arguments ...string) (string, error) {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.CurrentContext = "only"
	config.Clusters["only"], config.AuthInfos["ann"] = entry, &clientcmdapi.AuthInfo{Token: "ann's"}
	config.Contexts["only"] = &clientcmdapi.Context{Cluster: "only", AuthInfo: "ann", Namespace: "team"}
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, clientcmd.WriteToFile(*config, file))
	out := &bytes.Buffer{}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	command := NewCommand(genericiooptions.IOStreams{In: forever(t), Out: out, ErrOut: out})
	command.SetArgs(append([]string{"--kubeconfig", file}, arguments...))
	err := command.ExecuteContext(ctx)
	require.NoError(t, ctx.Err(), "it hung")
	return out.String(), err
}

// carry moves bytes between two connections until one of them ends.
func carry(a, b net.Conn) {
	defer a.Close()
	defer b.Close()
	go func() { _, _ = io.Copy(b, a) }() // The tests see what did not arrive.
	_, _ = io.Copy(a, b)
}

// connectProxy is an HTTP proxy that leads every host to the same address.
func connectProxy(used func(), target string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := parseProxyUser(r); r.Method != http.MethodConnect || r.Host != "cluster.test:6443" || user != "ann" || password != "p%w" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		far, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", target)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		near, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		used()
		_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
		carry(near, far)
	})
}

func parseProxyUser(r *http.Request) (user, password string, ok bool) {
	copied := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	return copied.BasicAuth()
}

// socksProxy leads every host to the same address (RFC 1928, without authentication).
func socksProxy(t *testing.T, used func(), target string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	serve := func(near net.Conn) error {
		greeting := make([]byte, 2)
		if _, err := io.ReadFull(near, greeting); err != nil {
			return err
		}
		if _, err := io.ReadFull(near, make([]byte, greeting[1])); err != nil {
			return err
		}
		if _, err := near.Write([]byte{5, 0}); err != nil {
			return err
		}
		request := make([]byte, 5)
		if _, err := io.ReadFull(near, request); err != nil {
			return err
		}
		host := make([]byte, int(request[4])+2)
		if _, err := io.ReadFull(near, host); err != nil {
			return err
		}
		if name := string(host[:request[4]]); request[3] != 3 || name != "cluster.test" {
			return fmt.Errorf("asked for %q", name)
		}
		if _, err := near.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}); err != nil {
			return err
		}
		far, err := net.Dial("tcp", target) //nolint:noctx // It ends with the listener of the test.
		if err != nil {
			return err
		}
		used()
		carry(near, far)
		return nil
	}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer near.Close()
				if err := serve(near); err != nil {
					t.Log("SOCKS:", err)
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// Streams go the way that every other request goes. The name of the cluster is known to the proxy only.
func TestStreamsGoThroughTheProxyOfTheKubeconfig(t *testing.T) {
	server := newProxiedCluster(t)
	target := server.Listener.Addr().String()
	var count atomic.Int32
	used := func() { count.Add(1) }
	plain := httptest.NewServer(connectProxy(used, target))
	defer plain.Close()
	secured := httptest.NewTLSServer(connectProxy(used, target))
	defer secured.Close()
	credentials := url.UserPassword("ann", "p%w")

	for name, proxy := range map[string]*url.URL{
		"http":   {Scheme: "http", User: credentials, Host: plain.Listener.Addr().String()},
		"https":  {Scheme: "https", User: credentials, Host: secured.Listener.Addr().String()},
		"socks5": {Scheme: "socks5", Host: socksProxy(t, used, target)},
	} {
		for command, paths := range ways() {
			t.Run(name+" "+command, func(t *testing.T) {
				t.Chdir(t.TempDir())
				count.Store(0)
				out, err := execute(t, &clientcmdapi.Cluster{
					Server: "https://cluster.test:6443", ProxyURL: proxy.String(), TLSServerName: "example.com",
					CertificateAuthorityData: server.authority()}, strings.Fields(command)...)
				require.NoError(t, err, out)
				assert.Subset(t, server.paths(), paths[:1])
				assert.Positive(t, count.Load(), "the proxy was passed by")
			})
		}
	}
	t.Run("a proxy that refuses", func(t *testing.T) {
		_, err := execute(t, &clientcmdapi.Cluster{Server: "https://cluster.test:6443", ProxyURL: plain.URL,
			CertificateAuthorityData: server.authority()}, "console", "my-vs")
		require.ErrorContains(t, err, "Proxy Authentication Required")
	})
}

// The environment is read once in a process, so the test runs itself again.
func TestStreamsGoThroughTheProxyOfTheEnvironment(t *testing.T) {
	if arguments := os.Getenv("ARGUMENTS_OF_KUBECTL_VS"); arguments != "" {
		command := NewCommand(genericiooptions.IOStreams{In: forever(t), Out: os.Stdout, ErrOut: os.Stderr})
		command.SetArgs(strings.Fields(arguments))
		require.NoError(t, command.ExecuteContext(t.Context()))
		return
	}
	server := newProxiedCluster(t)
	var used atomic.Int32
	proxy := httptest.NewServer(connectProxy(func() { used.Add(1) }, server.Listener.Addr().String()))
	defer proxy.Close()
	address := &url.URL{Scheme: "http", User: url.UserPassword("ann", "p%w"), Host: proxy.Listener.Addr().String()}
	authority := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(authority, server.authority(), 0o600))
	for name, test := range map[string]struct {
		environment []string
		proxied     bool
	}{
		"HTTPS_PROXY":               {[]string{"HTTPS_PROXY=" + address.String()}, true},
		"https_proxy":               {[]string{"https_proxy=" + address.String()}, true},
		"HTTP_PROXY only":           {[]string{"HTTP_PROXY=" + address.String()}, false},
		"NO_PROXY for the cluster":  {[]string{"HTTPS_PROXY=" + address.String(), "NO_PROXY=example.com,.test"}, false},
		"NO_PROXY for another host": {[]string{"HTTPS_PROXY=" + address.String(), "NO_PROXY=example.com"}, true},
	} {
		for command, paths := range ways() {
			t.Run(name+" "+command, func(t *testing.T) {
				used.Store(0)
				again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStreamsGoThroughTheProxyOfTheEnvironment$")
				again.Dir = t.TempDir()
				again.Env = append(test.environment, "PATH="+os.Getenv("PATH"), "KUBECONFIG="+filepath.Join(again.Dir, "none"),
					"ARGUMENTS_OF_KUBECTL_VS=--server https://cluster.test:6443 --tls-server-name example.com --certificate-authority "+
						authority+" -n team "+command)
				out, err := again.CombinedOutput()
				if !test.proxied {
					// Only the proxy knows the name of the cluster.
					require.Error(t, err, "%s", out)
					assert.Contains(t, string(out), "cluster.test")
					assert.Zero(t, used.Load())
					return
				}
				require.NoError(t, err, "%s", out)
				assert.Positive(t, used.Load())
				assert.Contains(t, server.paths(), paths[0])
			})
		}
	}
}

// Rancher and its like serve many clusters behind one address, each under a path.
func TestThePathOfTheServerIsKept(t *testing.T) {
	server := newProxiedCluster(t)
	for _, path := range []string{"", "/", "/k8s/clusters/c-abc", "/k8s/clusters/c-abc/", "/a%20b/c", "/x/apis"} {
		for command, paths := range ways() {
			t.Run(path+" "+command, func(t *testing.T) {
				t.Chdir(t.TempDir())
				out, err := execute(t, &clientcmdapi.Cluster{Server: server.URL + path, CertificateAuthorityData: server.authority()},
					strings.Fields(command)...)
				require.NoError(t, err, out)
				before, err := url.PathUnescape(strings.TrimSuffix(path, "/"))
				require.NoError(t, err)
				asked := server.paths()
				require.NotEmpty(t, asked)
				assert.Contains(t, asked, before+paths[0])
				for _, one := range asked {
					assert.True(t, strings.HasPrefix(one, before+"/apis/"), one)
				}
			})
		}
	}
}

// What ssh runs must reach the same server as the same user, whatever led this command there.
func TestTheProxyCommandOfSSHConnectsAsTheCommandDoes(t *testing.T) {
	folder := filepath.Join(t.TempDir(), `it's a "folder" with 100%`)
	require.NoError(t, os.MkdirAll(folder, 0o700))
	server := newProxiedCluster(t)
	authority := filepath.Join(folder, "ca file.pem")
	require.NoError(t, os.WriteFile(authority, server.authority(), 0o600))
	other := filepath.Join(folder, "other config")
	config := kubeconfig()
	config.CurrentContext = "rare"
	require.NoError(t, clientcmd.WriteToFile(*config, other))
	keep := program(t, "ssh", `cp "${KUBECONFIG%%:*}" "$KEEP/made"; echo "${KUBECONFIG#*:}" > "$KEEP/own"
while [ $# -gt 0 ]; do case $1 in ProxyCommand=*) echo "${1#ProxyCommand=}" > "$KEEP/proxy";; esac; shift; done`)

	for name, flags := range map[string][]string{
		"nothing":                   nil,
		"--kubeconfig":              {"--kubeconfig", other},
		"--context":                 {"--context", "rare"},
		"--cluster":                 {"--cluster", "there"},
		"--user":                    {"--user", "bob"},
		"--cluster and --user":      {"--context", "rare", "--cluster", "here", "--user", "ann"},
		"--namespace":               {"-n", "mine"},
		"--server":                  {"--server", "https://elsewhere/with/a/path"},
		"--as":                      {"--as", `it's "me" $HOME`},
		"--as-group":                {"--as", "eve", "--as-group", "a b", "--as-group", "c'd"},
		"--token":                   {"--token", "secret"},
		"--certificate-authority":   {"--cluster", "there", "--certificate-authority", authority},
		"--tls-server-name":         {"--tls-server-name", "kubernetes"},
		"--insecure-skip-tls":       {"--cluster", "there", "--insecure-skip-tls-verify"},
		"--request-timeout":         {"--request-timeout", "7s"},
		"--client-certificate":      {"--client-certificate", authority, "--client-key", authority},
		"--kubeconfig and a server": {"--kubeconfig", other, "--server", "https://elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config")
			require.NoError(t, clientcmd.WriteToFile(*kubeconfig(), file))
			t.Setenv("KUBECONFIG", file)
			s := aSession(t, flags...)
			in, err := s.namespace()
			require.NoError(t, err)
			ssh, err := exec.LookPath("ssh")
			require.NoError(t, err)
			reached := machine(func(vs *v1beta1.VirtualServer) { vs.Namespace = in })
			target, err := s.targetOf(reached, "", 22)
			require.NoError(t, err)
			require.NoError(t, s.runChild(t.Context(), "", ssh, target.arguments(nil)...))

			proxy, err := os.ReadFile(filepath.Join(keep, "proxy"))
			require.NoError(t, err)
			assert.NotContains(t, string(proxy), "secret")
			own, err := os.ReadFile(filepath.Join(keep, "own"))
			require.NoError(t, err)
			rules := &clientcmd.ClientConfigLoadingRules{Precedence: append([]string{filepath.Join(keep, "made")},
				filepath.SplitList(strings.TrimSpace(string(own)))...)}
			loaded, err := rules.Load()
			require.NoError(t, err)
			got, err := clientcmd.NewDefaultClientConfig(*loaded, &clientcmd.ConfigOverrides{}).ClientConfig()
			require.NoError(t, err)

			kubectl := genericclioptions.NewConfigFlags(true)
			set := pflag.NewFlagSet("kubectl", pflag.ContinueOnError)
			kubectl.AddFlags(set)
			require.NoError(t, set.Parse(flags))
			want, err := kubectl.ToRESTConfig()
			require.NoError(t, err)
			assert.Equal(t, connection(t, want), connection(t, got))
			namespace, _, err := kubectl.ToRawKubeConfigLoader().Namespace()
			require.NoError(t, err)
			assert.Contains(t, string(proxy), "'--namespace' '"+namespace+"' 'my-vs' '22'")
			assert.Equal(t, want.Timeout != 0, strings.Contains(string(proxy), "'--request-timeout' '7s'"))
		})
	}
}

// connection is what leads to a server, and as whom.
func connection(t *testing.T, config *rest.Config) map[string]any {
	t.Helper()
	require.NoError(t, rest.LoadTLSFiles(config))
	proxy := ""
	if config.Proxy != nil {
		address, err := config.Proxy(&http.Request{})
		require.NoError(t, err)
		proxy = fmt.Sprint(address)
	}
	return map[string]any{
		"host": strings.TrimSuffix(config.Host, "/"), "token": config.BearerToken, "user": config.Impersonate, "tls": config.TLSClientConfig.ServerName,
		"insecure": config.Insecure, "ca": string(config.CAData), "cert": string(config.CertData), "key": string(config.KeyData), "proxy": proxy,
	}
}
