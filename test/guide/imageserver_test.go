package guide

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
)

// imageServer serves images as bad servers do. The first part of a path says how, with a figure where one is needed.
type imageServer struct {
	url   string
	image []byte

	mu     sync.Mutex
	served map[string]int
}

// serveImages starts a server on the lab's network, which the nodes' pods reach.
func serveImages(e *framework.Environment) *imageServer {
	e.T.Helper()
	image, err := os.ReadFile(filepath.Join(e.Root(), "_output", "node", "guests", controlplane.SmallGuest))
	require.NoError(e.T, err)
	s := &imageServer{image: image, served: map[string]int{}}
	listener, err := net.Listen("tcp", net.JoinHostPort(e.Plane.LabAddress().String(), "0"))
	require.NoError(e.T, err)
	server := httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	require.NoError(e.T, server.Listener.Close())
	server.Listener = listener
	server.Start()
	e.T.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// serve answers. The name in the path keeps machines apart that ask for the same.
func (s *imageServer) serve(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	how, figure := parts[0], 0
	if len(parts) > 2 {
		figure, _ = strconv.Atoi(parts[1])
	}
	s.mu.Lock()
	s.served[r.URL.Path]++
	count := s.served[r.URL.Path]
	s.mu.Unlock()
	whole := func(from io.ReadSeeker) { http.ServeContent(w, r, "disk", time.Time{}, from) }
	switch how {
	case "good":
		whole(bytes.NewReader(s.image))
	case "redirect":
		http.Redirect(w, r, "/good/"+parts[len(parts)-1], http.StatusFound)
	case "circle":
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
	case "status":
		http.Error(w, http.StatusText(figure), figure)
	case "sometimes":
		// Of three requests two find nothing.
		if count%3 != 0 {
			http.NotFound(w, r)
			return
		}
		whole(bytes.NewReader(s.image))
	case "slow":
		// figure is in bytes a second.
		whole(&drip{ReadSeeker: bytes.NewReader(s.image), rate: figure, request: r})
	case "reset":
		s.reset(w)
	case "text":
		// figure is in bytes.
		page := strings.Repeat("<p>Please log in.</p>\n", figure)
		whole(strings.NewReader(page[:figure]))
	case "corrupt":
		broken := bytes.Clone(s.image)
		for i := 4096; i < len(broken); i++ {
			broken[i] = 0xa5
		}
		whole(bytes.NewReader(broken))
	case "short":
		whole(bytes.NewReader(s.image[:len(s.image)/2]))
	case "gzip":
		whole(bytes.NewReader(append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3}, bytes.Repeat([]byte{0xa5}, 1<<20)...)))
	}
}

// reset breaks the connection in the middle, as a firewall does.
func (s *imageServer) reset(w http.ResponseWriter) {
	connection, buffer, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = connection.Close() }()
	_, _ = fmt.Fprintf(buffer, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", len(s.image))
	_, _ = buffer.Write(s.image[:len(s.image)/2])
	_ = buffer.Flush()
	if tcp, is := connection.(*net.TCPConn); is {
		_ = tcp.SetLinger(0)
	}
}

// drip reads at a rate, and ends with the request.
type drip struct {
	io.ReadSeeker
	rate    int
	request *http.Request
}

func (d *drip) Read(into []byte) (int, error) {
	const perSecond = 5
	select {
	case <-d.request.Context().Done():
		return 0, d.request.Context().Err()
	case <-time.After(time.Second / perSecond):
	}
	return d.ReadSeeker.Read(into[:min(len(into), max(1, d.rate/perSecond))])
}
