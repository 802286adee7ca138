package apiserver

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apiserver/scheme"
	"tensorstack.dev/virtualserver/pkg/typecheck"
)

// maxCheckedBytes is how much of a body is read before it is decoded. The server refuses longer ones anyway.
const maxCheckedBytes = 3 << 20

// withTypeCheck answers 422 with the fields of a body that cannot be decoded. The library would answer 400, or 500 to a
// server-side apply, with the error of a parser that knows neither the field nor what should be there. It stands behind
// authorization.
func withTypeCheck(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, _ := apirequest.RequestInfoFrom(r.Context())
		kind, into := bodyType(r.Method, info)
		if into == nil || r.Body == nil {
			handler.ServeHTTP(w, r)
			return
		}
		start, err := io.ReadAll(io.LimitReader(r.Body, maxCheckedBytes+1))
		checked := r.Clone(r.Context())
		checked.Body = &replayed{Reader: io.MultiReader(bytes.NewReader(start), &failing{r.Body, err}), Closer: r.Body}
		if err == nil && len(start) <= maxCheckedBytes {
			if problems := bodyProblems(r.Header.Get("Content-Type"), start, into); len(problems) > 0 {
				invalid := apierrors.NewInvalid(v1beta1.SchemeGroupVersion.WithKind(kind).GroupKind(), info.Name, problems)
				responsewriters.ErrorNegotiated(invalid, scheme.Negotiated(), v1beta1.SchemeGroupVersion, w, r)
				return
			}
		}
		handler.ServeHTTP(w, checked)
	})
}

// bodyType says what the body of a request is, or nil for requests that others check.
func bodyType(method string, info *apirequest.RequestInfo) (string, reflect.Type) {
	if info == nil || !info.IsResourceRequest || info.APIGroup != v1beta1.GroupName || info.Resource != "virtualservers" {
		return "", nil
	}
	if method != http.MethodPost && method != http.MethodPut && method != http.MethodPatch {
		return "", nil
	}
	switch info.Subresource {
	case "", "status":
		return "VirtualServer", reflect.TypeFor[v1beta1.VirtualServer]()
	case "start":
		return "StartOptions", reflect.TypeFor[v1beta1.StartOptions]()
	case "stop":
		return "StopOptions", reflect.TypeFor[v1beta1.StopOptions]()
	case "restart":
		return "RestartOptions", reflect.TypeFor[v1beta1.RestartOptions]()
	}
	return "", nil
}

// bodyProblems returns what of a body does not fit. What cannot be read at all is left to the library.
func bodyProblems(contentType string, body []byte, into reflect.Type) field.ErrorList {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		mediaType = "application/json"
	}
	switch types.PatchType(mediaType) {
	case "application/json", types.MergePatchType, types.StrategicMergePatchType:
		return typecheck.Problems(body, into)
	case "application/yaml", types.ApplyYAMLPatchType:
		document, err := yaml.YAMLToJSON(body)
		if err != nil {
			return nil
		}
		return typecheck.Problems(document, into)
	case types.JSONPatchType:
		return jsonPatchProblems(body, into)
	}
	return nil
}

func jsonPatchProblems(body []byte, into reflect.Type) field.ErrorList {
	var steps []struct {
		Op, Path string
		Value    json.RawMessage
	}
	if json.Unmarshal(body, &steps) != nil {
		return nil
	}
	var problems field.ErrorList
	for _, step := range steps {
		if (step.Op == "add" || step.Op == "replace") && step.Path != "" {
			problems = append(problems, typecheck.ProblemsAt(step.Path, step.Value, into)...)
		}
	}
	return problems
}

// replayed is a body that was read and can be read again.
type replayed struct {
	io.Reader
	io.Closer
}

// failing is the rest of a body, or the error that ended it.
type failing struct {
	rest io.Reader
	err  error
}

// Read implements io.Reader.
func (f *failing) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.rest.Read(p)
}
