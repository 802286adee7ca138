package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/test/controlplane"
)

// productServerName is the name in the product's certificate.
const productServerName = "virtualserver-apiserver.virtualserver-system.svc"

// lineBuffer is the size of the buffer of a watch, larger than most events.
const lineBuffer = 64 << 10

// resource is a subject that is served over HTTP: the answers are read and not decoded, so that the client, which shares
// the machine with the servers, costs little and the same for all.
type resource struct {
	name   string
	host   string
	group  string
	client *http.Client
	// object is what is stored, without its name. Its spec is one of two.
	object map[string]any
	specs  [2]any
	// sharesStore says that another subject fills the namespaces of this one.
	sharesStore bool
}

var _ subject = &resource{}

func newResource(name, group string, config *rest.Config) (*resource, error) {
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	root, err := controlplane.RepositoryRoot()
	if err != nil {
		return nil, err
	}
	r := &resource{name: name, host: config.Host, group: group, client: &http.Client{Transport: transport}}
	for i, memory := range []string{"8Gi", "4Gi"} {
		if r.object, err = example(root, memory); err != nil {
			return nil, err
		}
		r.specs[i] = r.object["spec"]
	}
	r.object["apiVersion"] = group + "/v1beta1"
	return r, nil
}

// exampleDisk is the claim that the example uses as a disk.
const exampleDisk = "pvc-as-disk"

// example reads the guide's first example and gives it this memory.
func example(root, memory string) (map[string]any, error) {
	content, err := os.ReadFile(filepath.Join(root, "artifacts", "examples", "vs-example.yaml"))
	if err != nil {
		return nil, err
	}
	var object map[string]any
	if err := yaml.Unmarshal(content, &object); err != nil {
		return nil, err
	}
	return object, unstructured.SetNestedField(object, memory, "spec", "resources", "memory")
}

func newAggregated(plane *controlplane.ControlPlane) (*resource, error) {
	return newResource("VirtualServer through the aggregator", "tensorstack.dev", plane.AdminConfig())
}

func newDirect(plane *controlplane.ControlPlane) (*resource, error) {
	config := plane.AdminConfig()
	config.Host = plane.ProductURL()
	config.CAFile, config.CAData, config.ServerName = "", plane.ProductCA(), productServerName
	direct, err := newResource("VirtualServer directly", "tensorstack.dev", config)
	if err != nil {
		return nil, err
	}
	direct.sharesStore = true
	return direct, nil
}

// Name is the subject's column.
func (r *resource) Name() string { return r.name }

func (r *resource) url(namespace, name string) string {
	url := r.host + "/apis/" + r.group + "/v1beta1/namespaces/" + namespace + "/virtualservers"
	if name != "" {
		url += "/" + name
	}
	return url
}

// Create posts the guide's example under another name.
func (r *resource) Create(ctx context.Context, namespace, name string) error {
	body, err := r.encode(map[string]any{"name": name}, 0)
	if err != nil {
		return err
	}
	return r.discard(ctx, http.MethodPost, r.url(namespace, ""), body)
}

// Get reads one object.
func (r *resource) Get(ctx context.Context, namespace, name string) error {
	return r.discard(ctx, http.MethodGet, r.url(namespace, name), nil)
}

// List reads a namespace in one piece, as it is now and not as a cache had it.
func (r *resource) List(ctx context.Context, namespace string) error {
	return r.discard(ctx, http.MethodGet, r.url(namespace, ""), nil)
}

// Updater changes the spec back and forth, each time from the version that the last answer had.
func (r *resource) Updater(ctx context.Context, namespace, name string) (func(context.Context) error, error) {
	answer, err := r.body(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	sequence := 0
	return func(ctx context.Context) error {
		version, err := resourceVersion(answer)
		if err != nil {
			return err
		}
		sequence++
		body, err := r.encode(map[string]any{"name": name, "resourceVersion": version}, sequence)
		if err != nil {
			return err
		}
		answer, err = r.read(ctx, http.MethodPut, r.url(namespace, name), body)
		return err
	}, nil
}

// Watch follows a namespace from its present version.
func (r *resource) Watch(ctx context.Context, namespace string) (stream, error) {
	list, err := r.read(ctx, http.MethodGet, r.url(namespace, "")+"?limit=1", nil)
	if err != nil {
		return nil, err
	}
	version, err := resourceVersion(list)
	if err != nil {
		return nil, err
	}
	response, err := r.do(ctx, http.MethodGet, r.url(namespace, "")+"?watch=true&resourceVersion="+version, nil)
	if err != nil {
		return nil, err
	}
	return &eventLines{body: response.Body, lines: bufio.NewReaderSize(response.Body, lineBuffer)}, nil
}

// encode makes the object with this metadata. The spec depends on whether the sequence is odd.
func (r *resource) encode(metadata map[string]any, sequence int) ([]byte, error) {
	object := make(map[string]any, len(r.object)+1)
	for key, value := range r.object {
		object[key] = value
	}
	metadata["labels"] = map[string]any{"sequence": strconv.Itoa(sequence)}
	object["metadata"] = metadata
	object["spec"] = r.specs[sequence%len(r.specs)]
	encoded, err := json.Marshal(object)
	if name, ok := metadata["name"].(string); ok {
		// Two machines cannot write to one disk.
		encoded = bytes.Replace(encoded, []byte(`"`+exampleDisk+`"`), []byte(`"`+name+`"`), 1)
	}
	return encoded, err
}

func (r *resource) body(ctx context.Context, namespace, name string) ([]byte, error) {
	return r.read(ctx, http.MethodGet, r.url(namespace, name), nil)
}

func (r *resource) read(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	response, err := r.do(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return io.ReadAll(response.Body)
}

func (r *resource) discard(ctx context.Context, method, url string, body []byte) error {
	response, err := r.do(ctx, method, url, body)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// do sends a request and returns its answer if that is a success.
func (r *resource) do(ctx context.Context, method, url string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		defer func() { _ = response.Body.Close() }()
		message, err := io.ReadAll(io.LimitReader(response.Body, 2<<10))
		return nil, errors.Join(fmt.Errorf("%s %s: %s: %s", method, url, response.Status, message), err)
	}
	return response, nil
}

// eventLines reads a watch, which sends one event a line.
type eventLines struct {
	body  io.ReadCloser
	lines *bufio.Reader
}

// Next reads over one event.
func (e *eventLines) Next() error {
	for {
		_, err := e.lines.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// Close ends the watch.
func (e *eventLines) Close() { _ = e.body.Close() }

func resourceVersion(object []byte) (string, error) {
	var decoded struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(object, &decoded); err != nil {
		return "", err
	}
	if decoded.Metadata.ResourceVersion == "" {
		return "", fmt.Errorf("no resourceVersion in %.200s", object)
	}
	return decoded.Metadata.ResourceVersion, nil
}
