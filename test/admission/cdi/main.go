// Command cdi asks the admission of CDI, the very code of its API server, about DataVolumes. It reads them from standard
// input, one JSON object per line, and prints one line for every one that is refused: its number, a tab, the cause.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"kubevirt.io/containerized-data-importer/pkg/apiserver/webhooks"
	cdifake "kubevirt.io/containerized-data-importer/pkg/client/clientset/versioned/fake"
	clientfake "sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// maxLine is the longest object.
const maxLine = 4 << 20

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cdi:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	webhook := webhooks.NewDataVolumeValidatingWebhook(fake.NewSimpleClientset(), cdifake.NewSimpleClientset(), nil, clientfake.NewClientBuilder().Build())
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for number := 0; lines.Scan(); number++ {
		response, err := ask(webhook, lines.Bytes())
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if response.Allowed {
			continue
		}
		cause := "refused without a cause"
		if response.Result != nil {
			cause = response.Result.Message
		}
		fmt.Fprintf(out, "%d\t%q\n", number, cause)
	}
	return lines.Err()
}

// ask sends what kube-apiserver would send when a DataVolume is made.
func ask(webhook http.Handler, raw []byte) (*admissionv1.AdmissionResponse, error) {
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			Operation: admissionv1.Create,
			Resource: metav1.GroupVersionResource{
				Group: cdiv1.SchemeGroupVersion.Group, Version: cdiv1.SchemeGroupVersion.Version, Resource: "datavolumes",
			},
			Object: runtime.RawExtension{Raw: bytes.Clone(raw)},
		},
	})
	if err != nil {
		return nil, err
	}
	request := httptest.NewRequest(http.MethodPost, "/datavolume-validate", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	webhook.ServeHTTP(answer, request)
	review := admissionv1.AdmissionReview{}
	if err := json.Unmarshal(answer.Body.Bytes(), &review); err != nil {
		return nil, fmt.Errorf("read the answer %q: %w", answer.Body.String(), err)
	}
	if review.Response == nil {
		return nil, fmt.Errorf("the answer %q holds no response", answer.Body.String())
	}
	return review.Response, nil
}
