package main

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"kubevirt.io/containerized-data-importer/pkg/common"
	"kubevirt.io/containerized-data-importer/pkg/controller"
	"kubevirt.io/containerized-data-importer/pkg/operator/resources"
	"kubevirt.io/containerized-data-importer/pkg/operator/resources/cluster"
	"kubevirt.io/containerized-data-importer/pkg/operator/resources/namespaced"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// namespace is where CDI lives. cdi-apiserver and cdi-controller fall back to
// this name outside a pod, so it cannot be chosen.
const namespace = "cdi"

// options is what the objects depend on.
type options struct {
	url          *url.URL // scheme https, no path
	port         int      // 1 to 65535
	caBundle     []byte   // PEM
	featureGates []string
	// uploadProxyImage is the image of the one part of CDI that runs as a pod, for it has to reach other pods; empty for none.
	uploadProxyImage string
}

// order is the order of creation; kinds that are not in it are left out, since
// the processes take the place of most of the operator's Deployments and Services.
func order() []string {
	return []string{
		"Namespace", "CustomResourceDefinition", "ServiceAccount",
		"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding",
		"Service", "Deployment", "APIService", "CDI",
		"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
	}
}

// manifests returns the objects in an order in which they can be created.
func manifests(opts options) ([]map[string]any, error) {
	clusterArgs := &cluster.FactoryArgs{Namespace: namespace, Logger: logr.Discard()}
	static, err := cluster.CreateAllStaticResources(clusterArgs)
	if err != nil {
		return nil, fmt.Errorf("build the cluster's objects: %w", err)
	}
	registrations, err := cluster.CreateAllDynamicResources(clusterArgs)
	if err != nil {
		return nil, fmt.Errorf("build the registrations: %w", err)
	}
	for _, object := range registrations {
		direct(object, opts)
	}
	local, err := namespaced.CreateAllResources(&namespaced.FactoryArgs{
		Namespace: namespace, UploadProxyImage: opts.uploadProxyImage, Verbosity: "1", PullPolicy: string(corev1.PullNever),
	})
	if err != nil {
		return nil, fmt.Errorf("build the objects of namespace %s: %w", namespace, err)
	}
	// What CDI runs as pods; ours are added instead.
	local = slices.DeleteFunc(local, func(object client.Object) bool {
		switch object.(type) {
		case *corev1.Service, *appsv1.Deployment:
			return opts.uploadProxyImage == "" || object.GetName() != common.CDIUploadProxyResourceName
		}
		return false
	})
	objects := slices.Concat(static, registrations, local)
	objects = append(objects, cdi(opts), apiService(opts), &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
	})
	return sorted(objects)
}

// sorted converts the objects and orders them by kind and name. CDI's builders
// return them in a different order each time.
func sorted(objects []client.Object) ([]map[string]any, error) {
	kinds := order()
	out := make([]map[string]any, 0, len(objects))
	// The CRD of CDI itself comes with its operator, not with its resources.
	operatorCRD := map[string]any{}
	if err := yaml.Unmarshal([]byte(resources.CDICRDs["cdi"]), &operatorCRD); err != nil {
		return nil, fmt.Errorf("decode the CRD of CDI: %w", err)
	}
	out = append(out, clean(operatorCRD))
	for _, object := range objects {
		if !slices.Contains(kinds, object.GetObjectKind().GroupVersionKind().Kind) {
			continue
		}
		plain, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			return nil, fmt.Errorf("convert %T: %w", object, err)
		}
		out = append(out, clean(plain))
	}
	slices.SortFunc(out, func(a, b map[string]any) int {
		return cmp.Or(
			cmp.Compare(slices.Index(kinds, kindOf(a)), slices.Index(kinds, kindOf(b))),
			cmp.Compare(nameOf(a), nameOf(b)),
		)
	})
	return out, nil
}

func kindOf(object map[string]any) string {
	kind, _ := object["kind"].(string)
	return kind
}

func nameOf(object map[string]any) string {
	meta, _ := object["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	return name
}

// clean drops what only a server may write.
func clean(object map[string]any) map[string]any {
	delete(object, "status")
	if meta, ok := object["metadata"].(map[string]any); ok {
		delete(meta, "creationTimestamp")
	}
	return object
}

// direct points a registration at the process on this machine.
func direct(object client.Object, opts options) {
	switch registration := object.(type) {
	case *apiregistrationv1.APIService:
		port := int32(opts.port)
		registration.Spec.Service.Port = &port
		registration.Spec.CABundle = opts.caBundle
	case *admissionv1.ValidatingWebhookConfiguration:
		for i := range registration.Webhooks {
			registration.Webhooks[i].ClientConfig = clientConfig(registration.Webhooks[i].ClientConfig, opts)
		}
	case *admissionv1.MutatingWebhookConfiguration:
		for i := range registration.Webhooks {
			registration.Webhooks[i].ClientConfig = clientConfig(registration.Webhooks[i].ClientConfig, opts)
		}
	}
}

// clientConfig replaces a webhook's Service by the URL of the process.
func clientConfig(from admissionv1.WebhookClientConfig, opts options) admissionv1.WebhookClientConfig {
	target := *opts.url
	if from.Service != nil && from.Service.Path != nil {
		target.Path = *from.Service.Path
	}
	address := target.String()
	return admissionv1.WebhookClientConfig{URL: &address, CABundle: opts.caBundle}
}

// apiService sends the aggregator to this machine. It is an ExternalName
// because endpoints may not name a loopback address.
func apiService(opts options) client.Object {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: cluster.APIServerServiceName},
		Spec: corev1.ServiceSpec{
			Type:         corev1.ServiceTypeExternalName,
			ExternalName: "localhost",
			Ports:        []corev1.ServicePort{{Port: int32(opts.port)}},
		},
	}
}

// cdi is the installation's own object. cdi-controller makes the CDIConfig
// from it: the annotation, which CDI's operator sets, gives it the authority.
func cdi(opts options) client.Object {
	return &cdiv1.CDI{
		TypeMeta: metav1.TypeMeta{APIVersion: cdiv1.SchemeGroupVersion.String(), Kind: "CDI"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        "cdi",
			Annotations: map[string]string{controller.AnnConfigAuthority: ""},
		},
		Spec: cdiv1.CDISpec{Config: &cdiv1.CDIConfigSpec{FeatureGates: opts.featureGates}},
	}
}
