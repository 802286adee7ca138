package status

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// importerError returns the error of the importer that importer pod or DataVolume show now. The pod has it first and in full:
// CDI replaces some errors by a sentence of its own, which lacks the numbers (simplifyKnownMessage in CDI's
// pkg/controller/util.go).
func importerError(o Observed) string {
	fromPod := terminationError(o.ImporterPod)
	running := dataVolumeCondition(o.DataVolume, cdiv1.DataVolumeRunning)
	if running == nil || running.Status == corev1.ConditionTrue ||
		running.Reason != cdiError && running.Reason != cdiChecksum && running.Reason != cdiImagePull {
		return fromPod
	}
	fromCondition := OneLine(running.Message)
	if fromCondition == "" || fromPod != "" && generalises(fromCondition, fromPod) {
		return fromPod
	}
	return fromCondition
}

func terminationError(pod *corev1.Pod) string {
	if pod == nil {
		return ""
	}
	for _, container := range pod.Status.ContainerStatuses {
		for _, ended := range []*corev1.ContainerStateTerminated{
			container.State.Terminated, container.LastTerminationState.Terminated} {
			if ended != nil && ended.ExitCode != 0 {
				return endedText(pod.Name, ended)
			}
		}
	}
	return ""
}

// endedText is what a container of the importer left as its last words. One that fails at the address of its source, such as
// one that redirects in a circle, leaves none.
func endedText(pod string, ended *corev1.ContainerStateTerminated) string {
	switch {
	case strings.TrimSpace(ended.Message) != "":
		return OneLine(ended.Message)
	case ended.Reason != "" && ended.Reason != cdiError:
		return OneLine(ended.Reason)
	default:
		return fmt.Sprintf("the importer ended with exit code %d and did not say why; its log may: kubectl logs %s", ended.ExitCode, pod)
	}
}

// cdiTooSmall is the sentence by which CDI replaces every error for want of space.
const cdiTooSmall = "DataVolume too small to contain image"

// generalises says whether a text is CDI's general sentence for the other, which tells more.
func generalises(general, particular string) bool {
	return strings.Contains(general, cdiTooSmall) && particular != "" && !strings.Contains(particular, cdiTooSmall) &&
		classOf(particular).name == classTooSmall
}

// cannotStart says whether a reason is that of a container that does not start, which CDI copies from the importer pod into the
// condition Running.
func cannotStart(reason string) bool {
	switch reason {
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "InvalidImageName", "ErrImageNeverPull":
		return true
	default:
		return false
	}
}

// classTooSmall is the class of errors for want of space.
const classTooSmall = "too small"

// errorClass is what errors of importers have in common.
type errorClass struct {
	name   string
	advice string
	// heals says that the import may succeed by itself when it is tried again.
	heals bool
	signs []string
}

// errorClasses are the errors that importers report, in the words of CDI's importer (pkg/importer), of Go's net, net/http and
// crypto/tls, of containers/image, and of qemu-img. The first that fits counts, so that particular ones come first.
func errorClasses() []errorClass {
	return []errorClass{
		{classTooSmall, "Raise spec.storage.root.pvc.size", false, []string{"too small to contain", "larger than the reported available",
			"no space left", "disk quota exceeded", "bigger than maxblock", "larger pvc is required"}},
		// A file that ends within the header of an image is whole, but too short for one.
		{"short file", "Check that the source is a disk image", false, []string{"image header: unexpected eof", "image header: eof"}},
		{"plain HTTP", "The server speaks HTTP, not HTTPS: correct the scheme of the URL in spec.storage.root.source", false,
			[]string{"server gave http response to https client", "first record does not look like a tls handshake", "wrong version number"}},
		{"HTTPS", "The server speaks HTTPS: correct the scheme of the URL in spec.storage.root.source", false,
			[]string{"http request was sent to https port", "client sent an http request to an https server"}},
		{"rate limit", "The server limits how often images are fetched. It is tried again; secretRef with an account helps, or a mirror", true,
			[]string{" 429", "toomanyrequests", "too many requests", "rate limit", "slowdown", "slow down"}},
		{"no such image", "Check name and tag of the image in spec.storage.root.source", false,
			[]string{"manifest unknown", "manifest_unknown", "name unknown", "repository name not known", "repository does not exist",
				"no such manifest", "reading manifest"}},
		{"credentials", "Check the credentials in secretRef of spec.storage.root.source", false,
			[]string{" 401", " 403", "unauthorized", "forbidden",
				"access denied", "accessdenied", "authentication required", "invalid username", "invalidaccesskeyid", "signaturedoesnotmatch"}},
		{"host name", "Check the host name in spec.storage.root.source", false, []string{"no such host"}},
		{"name resolution", "The cluster's name service does not answer. It is tried again", true,
			[]string{"name resolution", "server misbehaving", "lookup "}},
		{"certificate", "Give the server's certificates in certConfigMap of spec.storage.root.source", false,
			[]string{"x509", "certificate", "unknown authority"}},
		{"checksum", "Check the checksum in spec.storage.root.source", false, []string{"checksum", "digest did not match", "digest mismatch"}},
		{"no such file", "Check the URL in spec.storage.root.source", false,
			[]string{" 404", " 410", "410 gone", "no such key", "nosuchkey", "nosuchbucket",
				"specified bucket does not exist", "object not found", "not found"}},
		{"server error", "The server has an error. It is tried again", true,
			[]string{" 500", " 502", " 503", " 504", "service unavailable", "bad gateway", "internal server error"}},
		{"broken transfer", "The connection broke. It is tried again; if it breaks at the same place each time, look at the server", true,
			[]string{"unexpected eof", "connection reset", "broken pipe", "stream error", "goaway", ": eof", "unexpectedly closed"}},
		{"unreachable", "Check that the server can be reached from the cluster. It is tried again", true,
			[]string{"connection refused", "timeout", "timed out", "deadline exceeded", "no route to host", "unreachable"}},
		{"storage", "The volume cannot be read or written: ask an administrator to look at the storage", false,
			[]string{"input/output error", "i/o error", "read-only file system", "stale file handle", "permission denied",
				"error while writing", "remote i/o"}},
		{"memory", "The importer needs more memory: ask an administrator to raise podResourceRequirements of CDI", false,
			[]string{"oomkilled", "cannot allocate memory", "signal: killed"}},
		{"no image", "Check that the source is a disk image", false,
			[]string{"unable to process data", "invalid format", "not a valid", "corrupt", "could not open", "unsupported", "invalid magic",
				"image not in", "invalid header", "unknown archive", "expected tar", "no disk image", "failed to find"}},
		{"answer", "Check the URL in spec.storage.root.source", false, []string{"expected status code"}},
	}
}

// classOf returns the class of an importer's error, or the zero value.
func classOf(message string) errorClass {
	lower := strings.ToLower(message)
	for _, class := range errorClasses() {
		for _, sign := range class.signs {
			if strings.Contains(lower, sign) {
				return class
			}
		}
	}
	return errorClass{}
}

// advice says what helps against an importer's error, or nothing.
func advice(message string) string {
	return classOf(message).advice
}
