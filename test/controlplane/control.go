package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// controlDirPrefix begins the name of the folder with the control socket.
const controlDirPrefix = "virtualserver-control-"

// argumentQuery carries the arguments of a component that is started.
const argumentQuery = "arg"

// controlServer lets other processes of the same user act on components: tests that
// share a control plane kill and restart the product through it. It listens on a Unix
// socket in a folder that only the user can enter.
type controlServer struct {
	dir    string
	socket string
	server *http.Server
	done   chan struct{}
}

func startControlServer(local *localOperator, failed func(error)) (*controlServer, error) {
	// Not below the state directory: a socket's path may have 108 bytes at most.
	dir, err := os.MkdirTemp("", controlDirPrefix)
	if err != nil {
		return nil, err
	}
	c := &controlServer{dir: dir, socket: filepath.Join(dir, "socket"), done: make(chan struct{})}
	listener, err := net.Listen("unix", c.socket)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	mux := http.NewServeMux()
	handle := func(verb string, act func(context.Context, string, []string) error) {
		mux.HandleFunc("POST /"+verb+"/{component}", func(w http.ResponseWriter, r *http.Request) {
			if err := act(r.Context(), r.PathValue("component"), r.URL.Query()[argumentQuery]); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	handle("kill", func(ctx context.Context, name string, _ []string) error { return local.kill(ctx, name) })
	handle("hold", func(ctx context.Context, name string, _ []string) error { return local.hold(ctx, name) })
	handle("release", local.release)
	c.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(c.done)
		if err := c.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed(fmt.Errorf("control socket: %w", err))
		}
	}()
	return c, nil
}

func (c *controlServer) stop() error {
	err := c.server.Close()
	<-c.done
	return errors.Join(err, os.RemoveAll(c.dir))
}

// remoteOperator acts through the control socket of another process.
type remoteOperator struct {
	client *http.Client
}

func newRemoteOperator(socket string) *remoteOperator {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &remoteOperator{client: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

func (o *remoteOperator) kill(ctx context.Context, name string) error {
	return o.post(ctx, "kill", name, nil)
}

func (o *remoteOperator) hold(ctx context.Context, name string) error {
	return o.post(ctx, "hold", name, nil)
}

func (o *remoteOperator) release(ctx context.Context, name string, args []string) error {
	return o.post(ctx, "release", name, args)
}

func (o *remoteOperator) post(ctx context.Context, verb, name string, args []string) error {
	target := url.URL{Scheme: "http", Host: "controlplane", Path: "/" + verb + "/" + name,
		RawQuery: url.Values{argumentQuery: args}.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), nil)
	if err != nil {
		return err
	}
	response, err := o.client.Do(request)
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		return fmt.Errorf("%s %s: %s", verb, name, strings.TrimSpace(string(text)))
	}
	return nil
}
