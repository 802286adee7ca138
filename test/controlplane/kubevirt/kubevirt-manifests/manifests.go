package main

import (
	"fmt"
	"net"
	"net/url"
	"strconv"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/components"
	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/rbac"
)

// namespace is where KubeVirt lives. virt-api and virt-controller fall back to
// this name outside a pod, so it cannot be chosen.
const namespace = "kubevirt"

// options is what the objects depend on.
type options struct {
	virtAPIURL   *url.URL // scheme https, no path
	virtAPIPort  int      // 1 to 65535
	caBundle     []byte   // PEM
	featureGates []string
	useEmulation bool
	handler      handlerOptions
}

// parseServerURL accepts https://HOST[:PORT] only: a webhook's path is appended
// to it.
func parseServerURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, fmt.Errorf("a URL such as https://127.0.0.1:8443 is required")
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" || u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("%q is not of the form https://HOST:PORT", text)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// portOf returns the port in u, or the default port of https.
func portOf(u *url.URL) int {
	if port, err := strconv.Atoi(u.Port()); err == nil {
		return port
	}
	return 443
}

// manifests returns the objects in an order in which they can be created.
func manifests(opts options) ([]map[string]any, error) {
	if opts.virtAPIPort < 1 || opts.virtAPIPort > 65535 {
		return nil, fmt.Errorf("port %d of virt-api is not between 1 and 65535", opts.virtAPIPort)
	}
	if err := opts.handler.validate(); err != nil {
		return nil, err
	}
	handler, err := handlerObjects(opts)
	if err != nil {
		return nil, err
	}
	objects := []runtime.Object{&corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
	}}
	crds, err := customResourceDefinitions()
	if err != nil {
		return nil, err
	}
	objects = append(objects, crds...)
	objects = append(objects, rbac.GetAllCluster()...)
	objects = append(objects, rbac.GetAllApiServer(namespace)...)
	objects = append(objects, rbac.GetAllController(namespace)...)
	objects = append(objects, rbac.GetAllHandler(namespace)...)
	objects = append(objects, caConfigMap(opts), virtAPIService(opts))
	objects = append(objects, apiServices(opts)...)
	objects = append(objects, handler...)
	objects = append(objects, kubeVirt(opts), mutatingWebhooks(opts), validatingWebhooks(opts))

	out := make([]map[string]any, 0, len(objects))
	for _, object := range objects {
		plain, err := toMap(object)
		if err != nil {
			return nil, err
		}
		out = append(out, plain)
	}
	return out, nil
}

// toMap drops what only a server may write: an object that carries an empty
// status or creation time would look edited to those who compare it.
func toMap(object runtime.Object) (map[string]any, error) {
	plain, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("convert %T: %w", object, err)
	}
	delete(plain, "status")
	if meta, ok := plain["metadata"].(map[string]any); ok {
		delete(meta, "creationTimestamp")
	}
	return plain, nil
}

// customResourceDefinitions returns every CRD that KubeVirt installs.
func customResourceDefinitions() ([]runtime.Object, error) {
	builders := []func() (*apiextensionsv1.CustomResourceDefinition, error){
		components.NewKubeVirtCrd,
		components.NewVirtualMachineCrd,
		components.NewVirtualMachineInstanceCrd,
		components.NewPresetCrd,
		components.NewReplicaSetCrd,
		components.NewVirtualMachineInstanceMigrationCrd,
		components.NewVirtualMachinePoolCrd,
		components.NewVirtualMachineSnapshotCrd,
		components.NewVirtualMachineSnapshotContentCrd,
		components.NewVirtualMachineRestoreCrd,
		components.NewVirtualMachineExportCrd,
		components.NewVirtualMachineCloneCrd,
		components.NewVirtualMachineInstancetypeCrd,
		components.NewVirtualMachineClusterInstancetypeCrd,
		components.NewVirtualMachinePreferenceCrd,
		components.NewVirtualMachineClusterPreferenceCrd,
		components.NewMigrationPolicyCrd,
	}
	crds := make([]runtime.Object, 0, len(builders))
	for _, build := range builders {
		crd, err := build()
		if err != nil {
			return nil, fmt.Errorf("build a CRD: %w", err)
		}
		widen(crd)
		crds = append(crds, crd)
	}
	return crds, nil
}

// caConfigMap holds the bundle that virt-api verifies virt-handler against.
func caConfigMap(opts options) runtime.Object {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: components.KubeVirtCASecretName},
		Data:       map[string]string{components.CABundleKey: string(opts.caBundle)},
	}
}

// virtAPIService sends the aggregator to this machine. It is an ExternalName
// because endpoints may not name a loopback address.
func virtAPIService(opts options) runtime.Object {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: components.VirtApiServiceName},
		Spec: corev1.ServiceSpec{
			Type:         corev1.ServiceTypeExternalName,
			ExternalName: "localhost",
			Ports:        []corev1.ServicePort{{Port: int32(opts.virtAPIPort)}},
		},
	}
}

func apiServices(opts options) []runtime.Object {
	var objects []runtime.Object
	for _, service := range components.NewVirtAPIAPIServices(namespace) {
		port := int32(opts.virtAPIPort)
		service.Spec.Service.Port = &port
		service.Spec.CABundle = opts.caBundle
		objects = append(objects, service)
	}
	return objects
}

// kubeVirt is the configuration of virt-api and virt-controller. They ignore it
// until its status.phase is set, which only the status subresource can do; then
// status.defaultArchitecture must be set as well.
func kubeVirt(opts options) runtime.Object {
	return &kubevirtv1.KubeVirt{
		TypeMeta:   metav1.TypeMeta{APIVersion: kubevirtv1.GroupVersion.String(), Kind: "KubeVirt"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "kubevirt"},
		Spec: kubevirtv1.KubeVirtSpec{
			Configuration: kubevirtv1.KubeVirtConfiguration{
				DeveloperConfiguration: &kubevirtv1.DeveloperConfiguration{
					FeatureGates: opts.featureGates,
					UseEmulation: opts.useEmulation,
				},
			},
		},
	}
}

func mutatingWebhooks(opts options) runtime.Object {
	config := components.NewVirtAPIMutatingWebhookConfiguration(namespace)
	for i := range config.Webhooks {
		config.Webhooks[i].ClientConfig = direct(config.Webhooks[i].ClientConfig, opts)
	}
	return config
}

func validatingWebhooks(opts options) runtime.Object {
	config := components.NewVirtAPIValidatingWebhookConfiguration(namespace)
	for i := range config.Webhooks {
		config.Webhooks[i].ClientConfig = direct(config.Webhooks[i].ClientConfig, opts)
	}
	return config
}

// direct replaces a webhook's Service by the URL of the process behind it.
func direct(from admissionv1.WebhookClientConfig, opts options) admissionv1.WebhookClientConfig {
	target := *opts.virtAPIURL
	target.Host = net.JoinHostPort(target.Hostname(), strconv.Itoa(portOf(opts.virtAPIURL)))
	if from.Service != nil && from.Service.Path != nil {
		target.Path = *from.Service.Path
	}
	address := target.String()
	return admissionv1.WebhookClientConfig{URL: &address, CABundle: opts.caBundle}
}
