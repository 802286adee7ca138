// Package kubelet answers for the logs of pods, as the kubelet of a node does. All that is ever written there is what the guest says
// at its boot; the log of a pod follows from the pod alone, so an agent that was restarted tells the same.
package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/handler"
)

// ClientName is the common name of the certificate with which kube-apiserver comes.
const ClientName = "kube-apiserver-kubelet-client"

// consoleContainer is where KubeVirt keeps the guest's serial console (pkg/virt-controller/services of KubeVirt).
const consoleContainer = "guest-console-log"

const headerTimeout = 10 * time.Second

// Finder returns a pod of the nodes that are served, nil if there is none.
type Finder func(namespace, name string) *corev1.Pod

// Serve answers kube-apiserver on the listener until the context ends.
func Serve(ctx context.Context, listener net.Listener, files handler.TLSFiles, pods Finder) error {
	config, err := handler.TLSConfig(files, ClientName)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: routes(pods), TLSConfig: config, ReadHeaderTimeout: headerTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving logs: %w", err)
	}
	return nil
}

func routes(pods Finder) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		pod := pods(r.PathValue("namespace"), r.PathValue("pod"))
		if pod == nil {
			http.Error(w, "the pod is not on this node", http.StatusNotFound)
			return
		}
		began, found := started(pod, r.PathValue("container"))
		if !found {
			http.Error(w, fmt.Sprintf("container %q in pod %q is waiting to start", r.PathValue("container"), pod.Name), http.StatusBadRequest)
			return
		}
		query := r.URL.Query()
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, text(pod, r.PathValue("container"), began, time.Now(), options{
			tail: number(query.Get("tailLines")), since: number(query.Get("sinceSeconds")), timestamps: query.Get("timestamps") == "true",
		}))
		if query.Get("follow") == "true" && pod.Status.Phase == corev1.PodRunning {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done() // Nothing more is ever written.
		}
	})
	return mux
}

// options are those of kubectl logs. A nil number is not given.
type options struct {
	tail, since *int64
	timestamps  bool
}

func number(value string) *int64 {
	parsed, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return nil
	}
	return &parsed
}

// started says when a container began to run.
func started(pod *corev1.Pod, name string) (time.Time, bool) {
	for _, container := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		switch state := container.State; {
		case container.Name != name:
		case state.Running != nil:
			return state.Running.StartedAt.Time, true
		case state.Terminated != nil:
			return state.Terminated.StartedAt.Time, true
		}
	}
	return time.Time{}, false
}

// text is what a container has written.
func text(pod *corev1.Pod, container string, began, now time.Time, wanted options) string {
	if container != consoleContainer || wanted.since != nil && now.Sub(began) > time.Duration(*wanted.since)*time.Second {
		return ""
	}
	lines := []string{"Simulated guest of the VirtualServer node agent, " + pod.Labels["vm.kubevirt.io/name"] + " ttyS0", "", "login: "}
	if wanted.tail != nil {
		lines = lines[len(lines)-min(len(lines), max(int(*wanted.tail), 0)):]
	}
	out := &strings.Builder{}
	for _, line := range lines {
		if wanted.timestamps {
			out.WriteString(began.UTC().Format(time.RFC3339Nano) + " ")
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}
