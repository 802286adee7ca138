package kubevirtprefix

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// writeError answers a Status. Errors that are none become a 500. virtctl shows the message only if the content type is exactly
// application/json. Source: enrichError in kubevirt.io/client-go/kubevirt/typed/core/v1/async.go.
func writeError(w http.ResponseWriter, err error) {
	var known apierrors.APIStatus
	if !errors.As(err, &known) {
		known = apierrors.NewInternalError(err)
	}
	status := known.Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	writeDocument(w, int(status.Code), status)
}

func writeDocument(w http.ResponseWriter, code int, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		http.Error(w, "the answer could not be written as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	// The client is gone if this fails.
	_, _ = w.Write(body)
}

// acceptedWriter turns the success of an operation, which is our VirtualServer, into KubeVirt's: 202 and no body. An error passes.
type acceptedWriter struct {
	http.ResponseWriter
	wrote  bool
	failed bool
}

func (w *acceptedWriter) WriteHeader(code int) {
	if w.wrote {
		return
	}
	w.wrote, w.failed = true, code >= http.StatusMultipleChoices
	if w.failed {
		w.ResponseWriter.WriteHeader(code)
		return
	}
	header := w.Header()
	for name := range header {
		// Only what the filters of the API server set before stays; nothing describes a body that is not there.
		switch name {
		case "Content-Type", "Content-Length", "Content-Encoding", "Location":
			header.Del(name)
		}
	}
	w.ResponseWriter.WriteHeader(http.StatusAccepted)
}

func (w *acceptedWriter) Write(body []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.failed {
		return w.ResponseWriter.Write(body)
	}
	return len(body), nil
}

// Flush implements http.Flusher, which the writer of objects looks for.
func (w *acceptedWriter) Flush() {
	if flusher, ok := w.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
}
