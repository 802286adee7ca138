package apiserver

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// withOperations lets start, stop and restart be called as people call them: with PUT as well as POST, as KubeVirt's own
// subresources are, and without a body. It comes before everything that looks at the request, so that authorization,
// audit and the handler see one and the same request: a POST, whose verb is create.
func withOperations(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isOperation(r) {
			handler.ServeHTTP(w, r)
			return
		}
		changed := r.Clone(r.Context())
		changed.Method = http.MethodPost
		if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
			changed.Body = io.NopCloser(strings.NewReader(emptyOptions))
			changed.ContentLength = int64(len(emptyOptions))
			changed.Header.Set("Content-Type", runtime.ContentTypeJSON)
		} else if r.ContentLength < 0 {
			// The length is not known before the body is read, which may be long after.
			changed.Body = &bodyOrDefault{ReadCloser: r.Body}
		}
		handler.ServeHTTP(w, changed)
	})
}

// emptyOptions are options in which nothing is set.
const emptyOptions = "{}"

// isOperation says whether a request is a PUT or POST to exactly
// /apis/tensorstack.dev/v1beta1/namespaces/NAMESPACE/virtualservers/NAME/{start,stop,restart}.
func isOperation(r *http.Request) bool {
	if r.Method != http.MethodPut && r.Method != http.MethodPost {
		return false
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/apis/"+v1beta1.SchemeGroupVersion.String()+"/namespaces/")
	if !ok {
		return false
	}
	parts := strings.Split(rest, "/")
	if len(parts) != 4 || parts[0] == "" || parts[1] != "virtualservers" || parts[2] == "" {
		return false
	}
	return parts[3] == "start" || parts[3] == "stop" || parts[3] == "restart"
}

// bodyOrDefault is a body that reads as empty options if it turns out to be empty.
type bodyOrDefault struct {
	io.ReadCloser
	started  bool
	fallback io.Reader
}

// Read reads the body, or the empty options if there is none.
func (b *bodyOrDefault) Read(p []byte) (int, error) {
	if b.fallback != nil {
		return b.fallback.Read(p)
	}
	n, err := b.ReadCloser.Read(p)
	if n == 0 && errors.Is(err, io.EOF) && !b.started {
		b.fallback = strings.NewReader(emptyOptions)
		return b.fallback.Read(p)
	}
	b.started = b.started || n > 0
	return n, err
}
