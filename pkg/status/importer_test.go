package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// importerTexts are errors as importers report them, by their class.
func importerTexts() map[string][]string {
	return map[string][]string{
		classTooSmall: {
			"Unable to process data: Virtual image size 5368709120 is larger than the reported available storage 4026531840. A larger PVC is required.",
			"unable to write to file: write /data/disk.img: no space left on device",
			"qemu-img: error while writing at byte 1073741824: No space left on device",
			"write /scratch/tmpimage: disk quota exceeded",
			"DataVolume too small to contain image",
			"qemu-img: /data/disk.img: file largest block is bigger than maxblock",
		},
		"plain HTTP": {
			`Get "https://images.example.com/a.qcow2": http: server gave HTTP response to HTTPS client`,
			"tls: first record does not look like a TLS handshake",
			"pinging container registry 10.0.0.1:5000: http: server gave HTTP response to HTTPS client",
		},
		"HTTPS": {"Client sent an HTTP request to an HTTPS server.", "The plain HTTP request was sent to HTTPS port"},
		"rate limit": {
			"Failed to read registry image: toomanyrequests: You have reached your unauthenticated pull rate limit.",
			"Unable to connect to http data source: expected status code 200, got 429. Status: 429 Too Many Requests",
			"SlowDown: Please reduce your request rate.",
			"reading manifest latest in docker.io/library/fedora: toomanyrequests",
		},
		"no such image": {
			"Failed to read registry image: reading manifest nosuch in quay.io/containerdisks/fedora: manifest unknown",
			"name unknown: repository name not known to registry",
			"initializing source docker://quay.io/x/y:1: reading manifest 1 in quay.io/x/y: manifest unknown: manifest unknown",
			"MANIFEST_UNKNOWN: manifest tagged by \"41\" is not found",
		},
		"credentials": {
			"Unable to connect to http data source: expected status code 200, got 401. Status: 401 Unauthorized",
			"expected status code 200, got 403. Status: 403 Forbidden",
			"could not get s3 object: AccessDenied: Access Denied. status code: 403, request id: 1",
			"unauthorized: authentication required",
			"SignatureDoesNotMatch: The request signature we calculated does not match",
		},
		"host name": {`Get "http://nowhere.invalid/a": dial tcp: lookup nowhere.invalid on 10.96.0.10:53: no such host`},
		"name resolution": {
			"dial tcp: lookup images.example.com on 10.96.0.10:53: server misbehaving",
			"curl: (6) Temporary failure in name resolution",
			"dial tcp: lookup images.example.com on 10.96.0.10:53: read udp: i/o timeout",
		},
		"certificate": {
			"tls: failed to verify certificate: x509: certificate signed by unknown authority",
			"x509: certificate has expired or is not yet valid: current time 2026-01-01 is after 2025-01-01",
			"x509: certificate is valid for a.example.com, not b.example.com",
		},
		"checksum": {"checksum mismatch: expected sha256:aa, got sha256:bb", "Digest did not match, expected sha256:aa, got sha256:bb"},
		"no such file": {
			notFound,
			"expected status code 200, got 410. Status: 410 Gone",
			"could not get s3 object: NoSuchKey: The specified key does not exist.",
			"NoSuchBucket: The specified bucket does not exist status code: 404",
		},
		"server error": {
			"expected status code 200, got 503. Status: 503 Service Temporarily Unavailable",
			"expected status code 200, got 502. Status: 502 Bad Gateway",
			"received unexpected HTTP status: 500 Internal Server Error",
			"expected status code 200, got 504. Status: 504 Gateway Time-out",
		},
		"broken transfer": {
			"Unable to transfer source data to scratch space: unexpected EOF",
			"read tcp 10.0.0.1:1->10.0.0.2:443: read: connection reset by peer",
			`Get "https://x/y": EOF`,
			"stream error: stream ID 1; INTERNAL_ERROR; received from peer",
		},
		"unreachable": {
			"dial tcp 10.0.0.1:80: connect: connection refused",
			"dial tcp 10.0.0.1:443: i/o timeout",
			"net/http: TLS handshake timeout",
			"context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
			"dial tcp 10.0.0.1:80: connect: no route to host",
		},
		"storage": {
			"qemu-img: error while writing sector 1048576: Input/output error",
			"write /data/disk.img: input/output error",
			"open /data/disk.img: read-only file system",
			"open /dev/cdi-block-volume: permission denied",
			"write /data/disk.img: stale file handle",
		},
		"memory": {"OOMKilled", "qemu-img execution failed: signal: killed", "fork/exec /usr/bin/qemu-img: cannot allocate memory"},
		"no image": {
			"Unable to convert source data to target format: qemu-img: Could not open '/scratch/tmpimage': Invalid header",
			"could not create gzip reader: gzip: invalid header",
			"Invalid format vmdk for image /scratch/tmpimage",
			"Failed to find VM disk image file in the container image",
		},
		"short file": {
			"Unable to process data: Unable to obtain information about data source: could not process image header: unexpected EOF",
			"could not process image header: EOF",
		},
		"answer": {"expected status code 200, got 301. Status: 301 Moved Permanently"},
	}
}

func TestImporterErrorsByClass(t *testing.T) {
	healing := map[string]bool{"rate limit": true, "name resolution": true, "server error": true, "broken transfer": true, "unreachable": true}
	texts := importerTexts()
	for _, class := range errorClasses() {
		assert.NotEmpty(t, texts[class.name], "%s is not tested", class.name)
		assert.Equal(t, healing[class.name], class.heals, class.name)
		for _, text := range texts[class.name] {
			assert.Equal(t, class.name, classOf(text).name, text)

			s := newScene(t, "Always")
			s.importing(cdiv1.ImportInProgress, "N/A", 2, running("False", "Error", text))
			got := condition(t, s.derive(), "DataImported")
			want := ReasonImportError
			if class.heals {
				want = ReasonImportRetrying
			}
			assert.Equal(t, want, got.Reason, text)
			assert.Contains(t, got.Message, class.advice)
		}
	}
	assert.Empty(t, classOf("something else altogether").name)
}

func importer(state corev1.ContainerStateTerminated) *corev1.Pod {
	return &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
		State: corev1.ContainerState{Terminated: &state}}}}}
}

// CDI's general sentence does not hide the numbers, whichever comes first.
func TestNumbersOfAnImageThatIsTooLarge(t *testing.T) {
	general := running("False", "Error", cdiTooSmall)
	for _, text := range importerTexts()[classTooSmall] {
		s := newScene(t, "Always")
		s.importing(cdiv1.ImportInProgress, "N/A", 1, general)
		s.ImporterPod = importer(corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: text})
		assert.Contains(t, s.derive().Import.LastError, text)
		// The pod is between two attempts, and CDI has its sentence.
		s.ImporterPod = nil
		got := s.derive()
		assert.Contains(t, got.Import.LastError, text, "it is kept")
		assert.Contains(t, got.Message, text)
		s.importing(cdiv1.ImportInProgress, "N/A", 2, running("False", "Error", notFound))
		assert.Equal(t, notFound, s.derive().Import.LastError, "until there is another error")
	}
}

func TestImporterThatCannotStart(t *testing.T) {
	for reason, message := range map[string]string{
		"CreateContainerConfigError": `couldn't find key accessKeyId in Secret default/s3`,
		"CreateContainerError":       "context deadline exceeded",
		"RunContainerError":          "exec format error",
		"InvalidImageName":           "couldn't parse image name",
		"ErrImageNeverPull":          "image is not present with pull policy of Never",
	} {
		s := newScene(t, "Always")
		s.importing(cdiv1.ImportScheduled, "N/A", 0, running("False", reason, message))
		got := condition(t, s.derive(), "DataImported")
		assert.Equal(t, ReasonImportError, got.Reason)
		assert.Equal(t, "DataVolume "+name+": the importer cannot start: "+reason+": "+message, got.Message)
	}
}

// The last words of an importer, and what is said of one that left none.
func TestLastWordsOfTheImporter(t *testing.T) {
	for want, ended := range map[string]corev1.ContainerStateTerminated{
		"no such host": {ExitCode: 1, Reason: "Error", Message: " no such host\n"},
		"OOMKilled":    {ExitCode: 137, Reason: "OOMKilled"},
		"the importer ended with exit code 2 and did not say why; its log may: kubectl logs importer-x": {ExitCode: 2, Reason: "Error"},
		"the importer ended with exit code 1 and did not say why; its log may: kubectl logs importer-x": {ExitCode: 1},
	} {
		pod := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &ended}}}}}
		pod.Name = "importer-x"
		assert.Equal(t, want, terminationError(pod))
	}
	assert.Equal(t, "Check that the source is a disk image", advice("could not process image header: unexpected EOF"))
	assert.False(t, classOf("could not process image header: unexpected EOF").heals)
	assert.True(t, classOf("could not process image header: read tcp 1.2.3.4:5: connection reset by peer").heals)
}
