package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/registry/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// Limits of an operation that is passed on.
const (
	// maxRequestBody is in bytes. Options of KubeVirt are far smaller.
	maxRequestBody = 1 << 20
	// maxResponseBody is in bytes. The largest answer is a screenshot.
	maxResponseBody = 64 << 20
	// operationTimeout is how long KubeVirt may take; it calls the node and the guest agent.
	operationTimeout = 30 * time.Second
)

// OperationCall is one request for an operation.
type OperationCall struct {
	// Operation is what to do.
	Operation Operation
	// Namespace and Name are the VirtualServer's.
	Namespace, Name string
	// Query is what KubeVirt is told in the query.
	Query url.Values
}

type resourceKey struct{}

// WithResource names the resource of KubeVirt that a client asked for, for operations that exist on both: a volume added to
// an instance is gone after its next start, one added to a machine stays.
func WithResource(ctx context.Context, resource Resource) context.Context {
	return context.WithValue(ctx, resourceKey{}, resource)
}

// Operate returns a handler that authorizes the user, passes the request on and the answer back. Only the body, its type and
// the status pass; no other header does, in either direction.
func (g *Gateway) Operate(call OperationCall, responder rest.Responder) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		code, err := g.operate(w, req, call)
		if err != nil {
			if !call.Operation.Reads {
				err = neverRetry(err)
			}
			code = statusCode(err)
			responder.Error(err)
		}
		g.metrics.operations.WithLabelValues(call.Operation.Name, strconv.Itoa(code)).Inc()
	})
}

func (g *Gateway) operate(w http.ResponseWriter, req *http.Request, call OperationCall) (int, error) {
	ctx, cancel := context.WithTimeout(req.Context(), operationTimeout)
	defer cancel()
	if err := g.authorizeOperation(ctx, req.Method, call); err != nil {
		return 0, err
	}
	server, err := g.machines.get(ctx, call.Namespace, call.Name)
	if err != nil {
		return 0, err
	}
	if server.Status.VM.Name == "" {
		return 0, conflict(server.Name, "the machine does not exist yet (%s)", stateOf(server))
	}
	if !call.Operation.Reads && req.URL.Query().Has("dryRun") {
		// KubeVirt does not look there, and would do it.
		if !call.Operation.DryRun {
			return 0, apierrors.NewBadRequest(call.Operation.Name + " has no dry run: leave dryRun out to do it")
		}
		return 0, apierrors.NewBadRequest(`a dry run must be asked for in the body: {"dryRun":["All"]}`)
	}
	body, err := requestBody(w, req, call.Operation)
	if err != nil {
		return 0, err
	}
	resource := call.Operation.Resource
	if asked, ok := ctx.Value(resourceKey{}).(Resource); ok && call.Operation.AnyResource {
		resource = asked
	}
	location, err := machineLocation(g.backend.Base(), subresourceAPI, server.Namespace, resource, server.Status.VM.Name, call.Operation.Path...)
	if err != nil {
		return 0, apierrors.NewBadRequest(err.Error())
	}
	location.RawQuery = call.Query.Encode()
	audit.AddAuditAnnotation(ctx, auditMachine, server.Namespace+"/"+server.Status.VM.Name)
	response, err := g.backend.request(ctx, call.Operation.Method(), location, body, "application/json, */*;q=0.5")
	if err != nil {
		return 0, unreachable(ctx, err)
	}
	defer response.Body.Close()
	return passBack(w, response, server)
}

// authorizeOperation checks the verb that the request has for RBAC: kube-apiserver has checked it too, except for the second
// part of a subresource, which it does not look at.
func (g *Gateway) authorizeOperation(ctx context.Context, method string, call OperationCall) error {
	verb := "update"
	switch {
	case call.Operation.Reads:
		verb = "get"
	case method == http.MethodPost:
		verb = "create"
	}
	return g.Authorize(ctx, verb, call.Namespace, call.Name, call.Operation.Name)
}

// unreachable turns a failure of the way to KubeVirt into an error for the user.
func unreachable(ctx context.Context, err error) error {
	var lost errUnreachable
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return apierrors.NewTimeoutError("KubeVirt did not answer in time", retrySeconds)
	case errors.As(err, &lost):
		return unavailable(err.Error())
	default:
		return err
	}
}

// requestBody reads the options. KubeVirt would take YAML as well, and decode the first document only; JSON leaves no room for
// two opinions of what was asked.
func requestBody(w http.ResponseWriter, req *http.Request, operation Operation) (io.Reader, error) {
	if operation.Reads || req.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxRequestBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("the options must not exceed %d bytes", maxRequestBody))
		}
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the options could not be read: %v", err))
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil
	}
	if declared := req.Header.Get("Content-Type"); declared != "" {
		if mediaType, _, err := mime.ParseMediaType(declared); err != nil || mediaType != "application/json" {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("the options must be application/json, not %q", declared))
		}
	}
	if !json.Valid(body) {
		return nil, apierrors.NewBadRequest("the options are not valid JSON")
	}
	if err := checkDryRun(body, operation); err != nil {
		return nil, err
	}
	return bytes.NewReader(body), nil
}

// checkDryRun keeps a dry run from being carried out. KubeVirt overlooks one that an operation does not have, and one that it
// does not know; of an empty list it looks at the first entry.
func checkDryRun(body []byte, operation Operation) error {
	options := struct {
		DryRun *[]string `json:"dryRun"`
	}{}
	var wrongType *json.UnmarshalTypeError
	switch err := json.Unmarshal(body, &options); {
	case errors.As(err, &wrongType) && wrongType.Field == "":
		return nil // It is no object at all, and KubeVirt says so.
	case err != nil:
		return apierrors.NewBadRequest(`dryRun must be ["All"]`)
	case options.DryRun == nil:
		return nil
	case !operation.DryRun:
		return apierrors.NewBadRequest(operation.Name + " has no dry run: leave dryRun out to do it")
	case !slices.Equal(*options.DryRun, []string{metav1.DryRunAll}):
		return apierrors.NewBadRequest(`dryRun must be ["All"], or left out`)
	}
	return nil
}

// passBack writes KubeVirt's answer if it is a success, and returns an error otherwise.
func passBack(w http.ResponseWriter, response *http.Response, server *tensorstack.VirtualServer) (int, error) {
	if response.StatusCode < 200 || response.StatusCode > 299 {
		body, err := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
		if err != nil {
			body = nil
		}
		return 0, answer{code: response.StatusCode, contentType: response.Header.Get("Content-Type"), body: body}.operationRefusal(server)
	}
	if contentType := response.Header.Get("Content-Type"); contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(response.StatusCode)
	// The status is sent; what fails now can only cut the answer short, which the client sees.
	_, _ = io.Copy(w, io.LimitReader(response.Body, maxResponseBody))
	return response.StatusCode, nil
}
