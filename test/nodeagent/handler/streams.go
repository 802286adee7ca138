package handler

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/gorilla/websocket"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/guest"
)

// subprotocol is the only one that KubeVirt speaks.
const subprotocol = "plain.kubevirt.io"

const streamBuffer = 32 << 10

// The kinds of sessions; console and display are exclusive per machine.
const (
	consoleKind = "console"
	displayKind = "vnc"
	usbKind     = "usbredir"
	vsockKind   = "vsock"
)

// maxUSB is the number of USB devices that KubeVirt redirects per machine.
const maxUSB = kubevirtv1.UsbClientPassthroughMaxNumberOf

type session struct {
	kind   string
	uid    types.UID
	cancel context.CancelFunc
}

// sessions knows who is connected to which machine.
type sessions struct {
	mu    sync.Mutex
	open  map[*session]struct{}
	group sync.WaitGroup
}

func newSessions() *sessions { return &sessions{open: map[*session]struct{}{}} }

// begin registers a session. An exclusive one ends those of its kind, as
// virt-handler's do.
func (s *sessions) begin(ctx context.Context, kind string, uid types.UID, exclusive bool) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	added := &session{kind: kind, uid: uid, cancel: cancel}
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.open {
		if exclusive && other.kind == kind && other.uid == uid {
			other.cancel()
		}
	}
	s.open[added] = struct{}{}
	s.group.Add(1)
	return ctx, func() {
		cancel()
		s.mu.Lock()
		delete(s.open, added)
		s.mu.Unlock()
		s.group.Done()
	}
}

func (s *sessions) count(kind string, uid types.UID) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.open {
		if other.kind == kind && other.uid == uid {
			n++
		}
	}
	return n
}

// drop ends all sessions of a machine.
func (s *sessions) drop(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.open {
		if other.uid == uid {
			other.cancel()
		}
	}
}

func (s *sessions) wait() { s.group.Wait() }

// dropSessions ends the sessions of a node's machines.
func (h *Handler) dropSessions(node string) {
	for _, vmi := range h.cluster.VMIsOn(node) {
		h.sessions.drop(vmi.UID)
	}
}

func (h *Handler) console(w http.ResponseWriter, r *http.Request, vmi *kubevirtv1.VirtualMachineInstance, g guest.Guest) {
	h.stream(w, r, vmi, consoleKind, true, g.Serial)
}

func (h *Handler) display(w http.ResponseWriter, r *http.Request, vmi *kubevirtv1.VirtualMachineInstance, g guest.Guest) {
	preserve, _ := strconv.ParseBool(r.URL.Query().Get("preserveSession"))
	if preserve && h.sessions.count(displayKind, vmi.UID) > 0 {
		http.Error(w, "Active VNC connection. Request denied.", http.StatusServiceUnavailable)
		return
	}
	h.stream(w, r, vmi, displayKind, true, g.Display)
}

func (h *Handler) usb(w http.ResponseWriter, r *http.Request, vmi *kubevirtv1.VirtualMachineInstance, _ guest.Guest) {
	if h.sessions.count(usbKind, vmi.UID) >= maxUSB {
		http.Error(w, "All USB devices are in use.", http.StatusServiceUnavailable)
		return
	}
	h.stream(w, r, vmi, usbKind, false, echo)
}

func (h *Handler) vsock(w http.ResponseWriter, r *http.Request, vmi *kubevirtv1.VirtualMachineInstance, _ guest.Guest) {
	if on := vmi.Spec.Domain.Devices.AutoattachVSOCK; on == nil || !*on {
		http.Error(w, "VM doesn't have VSOCK enabled", http.StatusBadRequest)
		return
	}
	if _, err := strconv.ParseUint(r.URL.Query().Get("port"), 10, 32); err != nil {
		http.Error(w, "the query needs port, a number of 32 bits", http.StatusBadRequest)
		return
	}
	h.stream(w, r, vmi, vsockKind, false, echo)
}

// echo is the far end of the streams behind which nothing is simulated.
func echo(ctx context.Context, conn io.ReadWriteCloser) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_, err := io.Copy(conn, conn)
	return err
}

// stream upgrades the request and connects it. It returns when either end has
// left, a newer session has taken over, or the agent stops.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request, vmi *kubevirtv1.VirtualMachineInstance, kind string, exclusive bool,
	serve func(context.Context, io.ReadWriteCloser) error) {
	upgrader := websocket.Upgrader{
		ReadBufferSize: streamBuffer, WriteBufferSize: streamBuffer,
		Subprotocols: []string{subprotocol},
		// The client is virt-api, known by its certificate; origins are for browsers.
		CheckOrigin: func(*http.Request) bool { return true },
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	ctx, end := h.sessions.begin(r.Context(), kind, vmi.UID, exclusive)
	defer end()
	if err := serve(ctx, &binaryConn{conn: conn}); err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).V(2).Info("A session ended", "kind", kind, "machine", klog.KObj(vmi), "reason", err)
	}
	_ = conn.Close()
}

// binaryConn reads and writes a WebSocket as a stream of bytes: binary frames
// carry data, text frames are ignored, as KubeVirt's own reader does.
type binaryConn struct {
	conn    *websocket.Conn
	current io.Reader
}

func (c *binaryConn) Read(p []byte) (int, error) {
	for {
		if c.current == nil {
			kind, reader, err := c.conn.NextReader()
			if websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseAbnormalClosure) {
				return 0, io.EOF
			}
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				continue
			}
			c.current = reader
		}
		n, err := c.current.Read(p)
		if err == io.EOF {
			c.current, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *binaryConn) Write(p []byte) (int, error) {
	if err := c.conn.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *binaryConn) Close() error { return c.conn.Close() }
