package handler

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"k8s.io/klog/v2"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/guest"
)

// ClientName is the common name of the certificate with which virt-api comes
// (KubeVirt, pkg/util/tls).
const ClientName = "kubevirt.io:system:client:virt-handler"

const (
	headerTimeout = 10 * time.Second
	machinePath   = "/v1/namespaces/{namespace}/virtualmachineinstances/{name}/"
)

// TLSFiles are the files of the endpoint's certificates, in PEM.
type TLSFiles struct{ Cert, Key, ClientCA string }

// TLSConfig requires client certificates of that common name. The serving
// certificate is read for every connection, so that it may be renewed in place.
func TLSConfig(files TLSFiles, clientName string) (*tls.Config, error) {
	if _, err := tls.LoadX509KeyPair(files.Cert, files.Key); err != nil {
		return nil, fmt.Errorf("reading the serving certificate: %w", err)
	}
	bundle, err := os.ReadFile(files.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("reading the client CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("the client CA file %s holds no certificate", files.ClientCA)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs:  pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
			return &pair, err
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			if name := state.PeerCertificates[0].Subject.CommonName; name != clientName {
				return fmt.Errorf("the client certificate is of %q, only %q may come", name, clientName)
			}
			return nil
		},
	}, nil
}

// Serve answers virt-api on the listener until the context ends and every
// session with it.
func (h *Handler) Serve(ctx context.Context, listener net.Listener, config *tls.Config) error {
	server := &http.Server{
		Handler:           h.routes(),
		TLSConfig:         config,
		ReadHeaderTimeout: headerTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		// Streams are WebSockets over HTTP/1.1.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.ServeTLS(listener, "", "")
	h.sessions.wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving virt-api: %w", err)
}

type machineHandler func(w http.ResponseWriter, r *http.Request, vmi *kubevirtv1.VirtualMachineInstance, g guest.Guest)

func (h *Handler) routes() http.Handler {
	mux := http.NewServeMux()
	add := func(method, tail string, serve machineHandler) {
		mux.HandleFunc(method+" "+machinePath+tail, h.withGuest(serve))
	}
	add("GET", "console", h.console)
	add("GET", "vnc", h.display)
	add("GET", "vnc/screenshot", screenshot)
	add("GET", "usbredir", h.usb)
	add("GET", "vsock", h.vsock)
	add("PUT", "pause", order(guest.Guest.Pause))
	add("PUT", "unpause", order(guest.Guest.Resume))
	add("PUT", "softreboot", order(guest.Guest.Reboot))
	add("PUT", "reset", order(guest.Guest.Reboot))
	add("PUT", "freeze", order(guest.Guest.Freeze))
	add("PUT", "unfreeze", order(guest.Guest.Thaw))
	add("GET", "guestosinfo", h.guestInfo)
	add("GET", "userlist", users)
	add("GET", "filesystemlist", filesystems)
	return mux
}

// withGuest finds the guest of a request. The virt-handler of a lost node does
// not answer at all.
func (h *Handler) withGuest(serve machineHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := r.PathValue("namespace") + "/" + r.PathValue("name")
		vmi := h.cluster.VMI(key)
		if vmi == nil {
			http.Error(w, fmt.Sprintf("VMI %s does not exist", key), http.StatusNotFound)
			return
		}
		if !h.cluster.Serves(vmi.Status.NodeName) {
			hangUp(w)
			return
		}
		g, found := h.guest(vmi.UID)
		if !found || !alive(statusOf(g)) {
			http.Error(w, fmt.Sprintf("the guest of %s does not run", key), http.StatusBadRequest)
			return
		}
		klog.FromContext(r.Context()).V(2).Info("Serving virt-api", "method", r.Method, "path", r.URL.Path)
		serve(w, r, vmi, g)
	}
}

func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "the node is lost", http.StatusServiceUnavailable)
		return
	}
	_ = conn.Close()
}
