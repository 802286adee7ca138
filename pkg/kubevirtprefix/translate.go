package kubevirtprefix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/request"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/stream"
)

// maxOptions bounds the body of start, stop and restart, in bytes.
const maxOptions = 64 << 10

// streamQuery are the query options of our streams; KubeVirt's own are among them. Nothing else passes.
var streamQuery = map[string][]string{
	string(stream.Console):     {"wait", "takeOver"},
	string(stream.VNC):         {"wait", "takeOver", "preserveSession"},
	string(stream.PortForward): {"wait"},
	string(stream.USBRedir):    {"wait"},
	stream.Screenshot:          {"moveCursor"},
}

// translate makes the request for the subresource of a VirtualServer that a request below the prefix stands for.
func (e exchange) translate(ctx context.Context, server *tensorstack.VirtualServer) (*http.Request, error) {
	parts := []string{"virtualservers", server.Name}
	parts = append(parts, strings.Split(e.found.subresource, "/")...)
	if e.found.kind == stream.PortForward {
		parts = append(parts, strings.Split(e.found.port.String(), "/")...)
	}
	info := &request.RequestInfo{
		IsResourceRequest: true,
		Verb:              "get",
		APIPrefix:         "apis",
		APIGroup:          v1beta1.GroupName,
		APIVersion:        v1beta1.SchemeGroupVersion.Version,
		Namespace:         server.Namespace,
		Resource:          parts[0],
		Name:              parts[1],
		Subresource:       parts[2],
		Parts:             parts,
	}
	method, body := e.request.Method, e.request.Body
	switch e.found.action {
	case actionOperation:
		if method == http.MethodPut {
			info.Verb = "update"
		}
		ctx = stream.WithResource(ctx, e.found.resource)
	case actionLifecycle:
		options, err := e.options()
		if err != nil {
			return nil, err
		}
		// Our operations are created; the user was authorized for the update that KubeVirt makes of them.
		method, info.Verb, body = http.MethodPost, "create", io.NopCloser(bytes.NewReader(options))
	}
	query := url.Values{}
	asked := e.request.URL.Query()
	for _, name := range streamQuery[e.found.subresource] {
		if values := asked[name]; len(values) > 0 {
			query.Set(name, values[0])
		}
	}
	if values := asked["dryRun"]; method != http.MethodGet && len(values) > 0 {
		// Whoever asks for a dry run must never get a real one. The subresource honours or refuses it.
		query["dryRun"] = values
	}
	info.Path = path.Join(append([]string{"/apis", v1beta1.GroupName, v1beta1.SchemeGroupVersion.Version, "namespaces", server.Namespace}, parts...)...)
	inner := e.request.Clone(request.WithRequestInfo(ctx, info))
	inner.Method, inner.Body = method, body
	inner.URL = &url.URL{Path: info.Path, RawQuery: query.Encode()}
	inner.RequestURI = inner.URL.RequestURI()
	inner.Header.Set("Accept", "application/json")
	if e.found.action == actionLifecycle {
		inner.Header.Set("Content-Type", "application/json")
		inner.ContentLength = -1
	}
	return inner, nil
}

// options translates the options of KubeVirt's start, stop and restart into ours.
func (e exchange) options() ([]byte, error) {
	body, err := e.read()
	if err != nil {
		return nil, err
	}
	kind := func(name string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: v1beta1.SchemeGroupVersion.String(), Kind: name}
	}
	var options any
	switch e.found.subresource {
	case "start":
		asked := kubevirtv1.StartOptions{}
		err = decode(body, &asked)
		options = v1beta1.StartOptions{TypeMeta: kind("StartOptions"), Paused: asked.Paused, DryRun: asked.DryRun}
	case "stop":
		asked := kubevirtv1.StopOptions{}
		err = decode(body, &asked)
		options = v1beta1.StopOptions{TypeMeta: kind("StopOptions"), GracePeriodSeconds: asked.GracePeriod, DryRun: asked.DryRun}
	case "restart":
		asked := kubevirtv1.RestartOptions{}
		err = decode(body, &asked)
		options = v1beta1.RestartOptions{TypeMeta: kind("RestartOptions"), GracePeriodSeconds: asked.GracePeriodSeconds, DryRun: asked.DryRun}
	default:
		err = fmt.Errorf("no operation %q", e.found.subresource)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(options)
}

func (e exchange) read() ([]byte, error) {
	if e.request.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(e.writer, e.request.Body, maxOptions))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("the options must not exceed %d bytes", maxOptions))
	case err != nil:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the options could not be read: %v", err))
	}
	return bytes.TrimSpace(body), nil
}

// decode reads options; none at all are fine.
func decode(body []byte, into any) error {
	if len(body) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("the options are not valid: %v", err))
	}
	return nil
}
