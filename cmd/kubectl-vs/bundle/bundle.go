package bundle

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

// logLines is how many of its last lines are taken of each log.
const logLines = 5000

// Options say where to look.
type Options struct {
	// SystemNamespace is where the server runs.
	SystemNamespace string
	// Namespace limits what is taken of users to one namespace; empty takes all.
	Namespace string
	// Now is the time that files are marked with.
	Now time.Time
}

// kind is a kind of object that is taken. Secrets and ConfigMaps of users are none of them.
type kind struct {
	resource schema.GroupVersionResource
	// namespace is where to look, or everywhere if it is empty.
	namespace string
	// name limits it to one object.
	name string
}

func kinds(o Options) []kind {
	at := func(group, version, resource, namespace, name string) kind {
		return kind{schema.GroupVersionResource{Group: group, Version: version, Resource: resource}, namespace, name}
	}
	return []kind{
		at("apiregistration.k8s.io", "v1", "apiservices", "", "v1beta1.tensorstack.dev"),
		at("tensorstack.dev", "v1beta1", "virtualservers", o.Namespace, ""),
		at("kubevirt.io", "v1", "virtualmachines", o.Namespace, ""),
		at("kubevirt.io", "v1", "virtualmachineinstances", o.Namespace, ""),
		at("cdi.kubevirt.io", "v1beta1", "datavolumes", o.Namespace, ""),
		at("", "v1", "persistentvolumeclaims", o.Namespace, ""),
		at("", "v1", "events", o.Namespace, ""),
		at("", "v1", "resourcequotas", o.Namespace, ""),
		at("", "v1", "limitranges", o.Namespace, ""),
		at("", "v1", "nodes", "", ""),
		at("storage.k8s.io", "v1", "storageclasses", "", ""),
		at("kubevirt.io", "v1", "kubevirts", "", ""),
		at("cdi.kubevirt.io", "v1beta1", "cdis", "", ""),
		at("apps", "v1", "deployments", o.SystemNamespace, ""),
		at("apps", "v1", "statefulsets", o.SystemNamespace, ""),
		at("", "v1", "pods", o.SystemNamespace, ""),
		at("coordination.k8s.io", "v1", "leases", o.SystemNamespace, ""),
	}
}

// writer writes files into the archive and remembers what could not be read.
type writer struct {
	archive *tar.Writer
	now     time.Time
	missing bytes.Buffer
}

// Write writes the archive. What cannot be read is named in its file missing.txt: half a bundle is better than none. The error is
// one of writing.
func Write(ctx context.Context, out io.Writer, o Options, objects dynamic.Interface, core kubernetes.Interface) error {
	compressed := gzip.NewWriter(out)
	w := &writer{archive: tar.NewWriter(compressed), now: o.Now}
	if version, err := discovery.ToDiscoveryInterfaceWithContext(core.Discovery()).ServerVersionWithContext(ctx); err != nil {
		w.miss("version", err)
	} else if err := w.file("version.txt", []byte("Kubernetes "+version.GitVersion+"\n")); err != nil {
		return err
	}
	for _, kind := range kinds(o) {
		if err := w.objects(ctx, objects, kind); err != nil {
			return err
		}
	}
	if err := w.logs(ctx, core, o.SystemNamespace); err != nil {
		return err
	}
	if err := w.file("missing.txt", w.missing.Bytes()); err != nil {
		return err
	}
	if err := w.archive.Close(); err != nil {
		return err
	}
	return compressed.Close()
}

func (w *writer) miss(what string, err error) {
	fmt.Fprintf(&w.missing, "%s: %s\n", what, Text(err.Error()))
}

func (w *writer) file(name string, content []byte) error {
	header := &tar.Header{Name: path.Join("support-bundle", name), Mode: 0o600, Size: int64(len(content)), ModTime: w.now}
	if err := w.archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.archive.Write(content)
	return err
}

func (w *writer) objects(ctx context.Context, client dynamic.Interface, kind kind) error {
	options := metav1.ListOptions{}
	if kind.name != "" {
		options.FieldSelector = "metadata.name=" + kind.name
	}
	list, err := client.Resource(kind.resource).Namespace(kind.namespace).List(ctx, options)
	if err != nil {
		w.miss(kind.resource.GroupResource().String(), err)
		return nil
	}
	cleaned := make([]any, 0, len(list.Items))
	for i := range list.Items {
		if kind.name == "" || list.Items[i].GetName() == kind.name {
			cleaned = append(cleaned, Object(list.Items[i].Object))
		}
	}
	content, err := yaml.Marshal(cleaned)
	if err != nil {
		return err
	}
	return w.file(kind.resource.GroupResource().String()+".yaml", content)
}

// logs takes the logs of the pods of the server, those before their last restart too.
func (w *writer) logs(ctx context.Context, core kubernetes.Interface, namespace string) error {
	pods, err := core.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		w.miss("logs", err)
		return nil
	}
	for i := range pods.Items {
		for _, status := range pods.Items[i].Status.ContainerStatuses {
			for _, previous := range []bool{false, true} {
				if previous && status.RestartCount == 0 {
					continue
				}
				if err := w.log(ctx, core, &pods.Items[i], status.Name, previous); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *writer) log(ctx context.Context, core kubernetes.Interface, pod *corev1.Pod, container string, previous bool) error {
	name := path.Join("logs", pod.Name, container+map[bool]string{true: ".previous"}[previous]+".log")
	stream, err := core.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: container, Previous: previous, TailLines: ptr.To[int64](logLines),
	}).Stream(ctx)
	if err != nil {
		if !apierrors.IsNotFound(err) {
			w.miss(name, err)
		}
		return nil
	}
	defer func() { _ = stream.Close() }()
	content, err := cleanLog(stream)
	if err != nil {
		w.miss(name, err)
	}
	return w.file(name, content)
}

// cleanLog reads a log line by line. A private key takes several.
func cleanLog(log io.Reader) ([]byte, error) {
	var cleaned bytes.Buffer
	lines := bufio.NewReader(log)
	inKey := false
	for {
		line, err := lines.ReadString('\n')
		switch {
		case strings.Contains(line, "PRIVATE KEY-----"):
			inKey = strings.Contains(line, "-----BEGIN") && !strings.Contains(line, "-----END")
			cleaned.WriteString(leftOut + "\n")
		case !inKey:
			cleaned.WriteString(Text(line))
		}
		if errors.Is(err, io.EOF) {
			return cleaned.Bytes(), nil
		}
		if err != nil {
			return cleaned.Bytes(), err
		}
	}
}
