package kubevirt

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiclient "kubevirt.io/client-go/containerizeddataimporter"
	kubevirtclient "kubevirt.io/client-go/kubevirt"
)

// InstanceReader reads VirtualMachineInstances.
type InstanceReader interface {
	// Instance reads the VirtualMachineInstance of a VirtualMachine, which has the same name, from the server and not
	// from a cache. The error is a NotFound API error if the machine does not run.
	Instance(ctx context.Context, namespace, vmName string) (*kubevirtv1.VirtualMachineInstance, error)
}

// Client reads and writes the objects of KubeVirt and CDI.
type Client struct {
	config   *rest.Config
	kubevirt kubevirtclient.Interface
	cdi      cdiclient.Interface
}

var (
	_ InstanceReader = &Client{}
	_ Machines       = &Client{}
	_ DataVolumes    = &Client{}
)

// NewClient returns a client that talks to the kube-apiserver of the configuration. It does not connect yet. The
// configuration is copied.
func NewClient(config *rest.Config) (*Client, error) {
	config = rest.CopyConfig(config)
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("create the HTTP client for KubeVirt and CDI: %w", err)
	}
	kubevirt, err := kubevirtclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("create the client for KubeVirt: %w", err)
	}
	cdi, err := cdiclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("create the client for CDI: %w", err)
	}
	return newClient(config, kubevirt, cdi), nil
}

func newClient(config *rest.Config, kubevirt kubevirtclient.Interface, cdi cdiclient.Interface) *Client {
	return &Client{config: config, kubevirt: kubevirt, cdi: cdi}
}

// Instance implements InstanceReader.
func (c *Client) Instance(ctx context.Context, namespace, vmName string) (*kubevirtv1.VirtualMachineInstance, error) {
	return c.kubevirt.KubevirtV1().VirtualMachineInstances(namespace).Get(ctx, vmName, metav1.GetOptions{})
}

// StreamConfig returns the configuration for requests that are passed on to KubeVirt's subresources, streams among
// them. It is a copy for the caller to keep. It speaks HTTP/1.1 only: HTTP/2 cannot upgrade a connection to a websocket.
func (c *Client) StreamConfig() *rest.Config {
	config := rest.CopyConfig(c.config)
	config.NextProtos = []string{"http/1.1"}
	return config
}
