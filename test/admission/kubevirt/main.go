// Command kubevirt asks the admission of KubeVirt, the very code of its virt-api, about VirtualMachines. It reads them from
// standard input, one JSON object per line, and prints one line for every one that is refused: its number, a tab, the
// cause. It knows no cluster, so that what depends on other objects is not asked.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	admissionv1 "k8s.io/api/admission/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/tools/cache"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"kubevirt.io/kubevirt/pkg/defaults"
	webhookutils "kubevirt.io/kubevirt/pkg/util/webhooks"
	"kubevirt.io/kubevirt/pkg/virt-api/webhooks"
	"kubevirt.io/kubevirt/pkg/virt-api/webhooks/validating-webhook/admitters"
	virtconfig "kubevirt.io/kubevirt/pkg/virt-config"
)

// maxLine is the longest object.
const maxLine = 4 << 20

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kubevirt:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	config, err := clusterConfig()
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for number := 0; lines.Scan(); number++ {
		causes, err := refuse(config, lines.Bytes())
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		for _, cause := range causes {
			fmt.Fprintf(out, "%d\t%s: %q\n", number, cause.Field, cause.Message)
		}
	}
	return lines.Err()
}

// clusterConfig is a KubeVirt with the feature gates that filesystems need.
func clusterConfig() (*virtconfig.ClusterConfig, error) {
	definitions := cache.NewSharedIndexInformer(&cache.ListWatch{}, &extv1.CustomResourceDefinition{}, 0, cache.Indexers{})
	kubeVirts := cache.NewSharedIndexInformer(&cache.ListWatch{}, &kubevirtv1.KubeVirt{}, 0, cache.Indexers{})
	err := kubeVirts.GetStore().Add(&kubevirtv1.KubeVirt{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kubevirt", Name: "kubevirt", ResourceVersion: "1"},
		Spec: kubevirtv1.KubeVirtSpec{Configuration: kubevirtv1.KubeVirtConfiguration{
			DeveloperConfiguration: &kubevirtv1.DeveloperConfiguration{
				FeatureGates: []string{"EnableVirtioFsStorageVolumes", "EnableVirtioFsConfigVolumes"},
			},
		}},
		// virt-operator sets both.
		Status: kubevirtv1.KubeVirtStatus{Phase: kubevirtv1.KubeVirtPhaseDeployed, DefaultArchitecture: "amd64"},
	})
	if err != nil {
		return nil, err
	}
	return virtconfig.NewClusterConfig(definitions, kubeVirts, "kubevirt")
}

// refuse asks as virt-api does when a VirtualMachine is made, and then as it does when its instance is.
func refuse(config *virtconfig.ClusterConfig, raw []byte) ([]metav1.StatusCause, error) {
	if response := webhookutils.ValidateSchema(kubevirtv1.VirtualMachineGroupVersionKind, raw); response != nil {
		return causesOf(response), nil
	}
	vm := &kubevirtv1.VirtualMachine{}
	if err := json.Unmarshal(raw, vm); err != nil {
		return nil, err
	}
	// As the mutating webhook does.
	vm.Spec.Template.Spec.Architecture = config.GetDefaultArchitecture()
	if err := defaults.SetDefaultVirtualMachineInstanceSpec(config, &vm.Spec.Template.Spec); err != nil {
		return nil, err
	}
	if causes := admitters.ValidateVirtualMachineSpec(field.NewPath("spec"), &vm.Spec, config, false); len(causes) > 0 {
		return causes, nil
	}
	vmi := &kubevirtv1.VirtualMachineInstance{
		TypeMeta: metav1.TypeMeta{
			APIVersion: kubevirtv1.VirtualMachineInstanceGroupVersionKind.GroupVersion().String(),
			Kind:       kubevirtv1.VirtualMachineInstanceGroupVersionKind.Kind,
		},
		ObjectMeta: *vm.Spec.Template.ObjectMeta.DeepCopy(),
		Spec:       vm.Spec.Template.Spec,
	}
	vmi.Namespace, vmi.Name = vm.Namespace, vm.Name
	encoded, err := json.Marshal(vmi)
	if err != nil {
		return nil, err
	}
	admitter := &admitters.VMICreateAdmitter{ClusterConfig: config}
	response := admitter.Admit(context.Background(), &admissionv1.AdmissionReview{Request: &admissionv1.AdmissionRequest{
		Operation: admissionv1.Create,
		Resource:  webhooks.VirtualMachineInstanceGroupVersionResource,
		Object:    runtime.RawExtension{Raw: encoded},
	}})
	return causesOf(response), nil
}

func causesOf(response *admissionv1.AdmissionResponse) []metav1.StatusCause {
	if response.Allowed {
		return nil
	}
	if response.Result != nil && response.Result.Details != nil && len(response.Result.Details.Causes) > 0 {
		return response.Result.Details.Causes
	}
	message := "refused without a cause"
	if response.Result != nil {
		message = response.Result.Message
	}
	return []metav1.StatusCause{{Message: message}}
}
