package controlplane

import (
	"bytes"
	"context"
	_ "embed"
	"net/netip"
	"os"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// labNamespace is where the lab keeps what is neither Kubernetes', KubeVirt's, CDI's nor the product's.
const labNamespace = "lab"

//go:embed config/nodevolumes.yaml
var nodeVolumesManifest []byte

//go:embed config/nodes.yaml
var nodesManifest []byte

// HandlerImage is the image of virt-handler and of the launcher on real nodes. Its tag is not latest, which would be
// pulled every time.
const HandlerImage = "docker.io/local/virt-launcher:v1.7.0"

// applyNodeObjects makes what pods on real nodes expect of a cluster: the Service kubernetes leads to the door, and
// there is a name server.
func (c *ControlPlane) applyNodeObjects(ctx context.Context) error {
	if err := c.Apply(ctx, nodesManifest); err != nil {
		return err
	}
	plain, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c.kubernetesEndpoints())
	if err != nil {
		return err
	}
	return c.applier.apply(ctx, []*unstructured.Unstructured{{Object: plain}})
}

// kubernetesEndpoints leads the Service kubernetes to the door: kube-apiserver itself may not name its loopback address.
func (c *ControlPlane) kubernetesEndpoints() *discoveryv1.EndpointSlice {
	name, port, protocol, ready := "https", int32(c.ports.KubeAPIServer), corev1.ProtocolTCP, true
	return &discoveryv1.EndpointSlice{
		TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceDefault, Name: "kubernetes", Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{c.labAddress.String()}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		}},
		Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &protocol}},
	}
}

// handlerSecrets are the certificates that virt-operator would make for virt-handler.
func (c *ControlPlane) handlerSecrets() ([]*unstructured.Unstructured, error) {
	return c.tlsSecrets(kubevirtNamespace, map[string]string{
		"kubevirt-virt-handler-certs":                  "virt-handler-client",
		"kubevirt-virt-handler-server-certs":           "virt-handler-server",
		"kubevirt-virt-handler-migration-client-certs": "virt-handler-client",
		"kubevirt-virt-handler-vsock-client-certs":     "virt-handler-client",
	})
}

// tlsSecrets puts certificates of the control plane into Secrets. files has the name of a certificate by that of its Secret.
func (c *ControlPlane) tlsSecrets(namespace string, files map[string]string) ([]*unstructured.Unstructured, error) {
	var secrets []*unstructured.Unstructured
	for name, file := range files {
		certPEM, err := os.ReadFile(c.paths.crt(file))
		if err != nil {
			return nil, err
		}
		keyPEM, err := os.ReadFile(c.paths.key(file))
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Secret", "type": string(corev1.SecretTypeTLS),
			"metadata": map[string]any{"namespace": namespace, "name": name},
			"data":     map[string]any{corev1.TLSCertKey: encodeBase64(certPEM), corev1.TLSPrivateKeyKey: encodeBase64(keyPEM)},
		}})
	}
	return secrets, nil
}

// storage is the storage manifest, with the provisioner that the kind of nodes has.
func (c *ControlPlane) storage() []byte {
	if !c.real() {
		return storageManifest
	}
	return bytes.ReplaceAll(storageManifest, []byte(DiskProvisioner), []byte(folderProvisioner))
}

// apiServerAddresses are the addresses besides loopback under which pods and nodes know kube-apiserver.
func (c *ControlPlane) apiServerAddresses() []netip.Addr {
	if c.own.lab == nil {
		return nil
	}
	return []netip.Addr{netip.MustParseAddr(kubernetesService), c.labAddress}
}
