package importer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/test/nodeagent/cluster"
)

const (
	metricsPort   = 8443
	readTimeout   = 5 * time.Second
	progressLines = "kubevirt_cdi_import_progress_total{ownerUID=%q} %.2f\nkubevirt_cdi_clone_progress_total{ownerUID=%q} %.2f\n"
)

// Progress serves the progress of each transfer on the address of its pod, as
// CDI's workers do; cdi-controller reads it every two seconds.
type Progress struct {
	tls *tls.Config

	mu      sync.Mutex
	ctx     context.Context // nil before Run
	reports map[types.UID]*report
	servers sync.WaitGroup
}

type report struct {
	owner   string
	percent func() float64
	cancel  context.CancelFunc
}

// NewProgress returns a server that listens only while it runs and there is
// something to report.
func NewProgress(config *tls.Config) *Progress {
	return &Progress{tls: config, reports: map[types.UID]*report{}}
}

// Run owns the servers; it returns when the context and the last of them have ended.
func (p *Progress) Run(ctx context.Context) {
	p.mu.Lock()
	p.ctx = ctx
	p.mu.Unlock()
	<-ctx.Done()
	p.mu.Lock()
	p.ctx = nil
	p.mu.Unlock()
	p.servers.Wait()
}

// Report says what a pod's transfer has reached. A pod whose port cannot be had
// has no progress to show, which CDI bears.
func (p *Progress) Report(ctx context.Context, pod *corev1.Pod, owner string, percent func() float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.reports[pod.UID]; old != nil {
		old.percent = percent
		return
	}
	if p.ctx == nil {
		return
	}
	address := net.JoinHostPort(cluster.ImporterAddress(pod.UID), strconv.Itoa(metricsPort))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		klog.FromContext(ctx).V(2).Info("The progress of a transfer cannot be served", "pod", klog.KObj(pod), "reason", err)
		return
	}
	serverCtx, cancel := context.WithCancel(p.ctx)
	p.reports[pod.UID] = &report{owner: owner, percent: percent, cancel: cancel}
	p.servers.Go(func() { p.serve(serverCtx, listener, pod.UID) })
}

// Forget ends the report of a pod.
func (p *Progress) Forget(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.reports[uid]; old != nil {
		old.cancel()
		delete(p.reports, uid)
	}
}

func (p *Progress) serve(ctx context.Context, listener net.Listener, uid types.UID) {
	handler := http.NewServeMux()
	handler.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		current := p.reports[uid]
		var owner string
		var percent float64
		if current != nil {
			owner, percent = current.owner, current.percent()
		}
		p.mu.Unlock()
		if current != nil {
			_, _ = fmt.Fprintf(w, progressLines, owner, percent, owner, percent)
		}
	})
	server := &http.Server{
		Handler: handler, TLSConfig: p.tls, ReadHeaderTimeout: readTimeout,
		// A transfer may end in the middle of a request; that is no error.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		klog.FromContext(ctx).Error(err, "Serving the progress of a transfer ended")
	}
}
