package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// handlerPort is virt-handler's port of health and metrics on its node.
	handlerPort = "8443"
	// kubevirtNamespace is fixed in KubeVirt for processes outside a pod.
	kubevirtNamespace = "kubevirt"
	// ServiceAccounts whose updates of machines KubeVirt's webhooks accept. Changes by
	// anybody else to a machine's status are silently reverted.
	virtAPIServiceAccount        = "kubevirt-apiserver"
	virtControllerServiceAccount = "kubevirt-controller"
	// GPUResource is the device that the guide's GPU example asks for.
	GPUResource = "nvidia.com/GA100_A100_PCIE_40GB"
)

// printManifests runs one of the manifest programs and decodes what it prints.
func (c *ControlPlane) printManifests(ctx context.Context, program string, args ...string) ([]*unstructured.Unstructured, error) {
	command := exec.CommandContext(ctx, filepath.Join(c.options.BinDir, program), args...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	command.WaitDelay = time.Second
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(stderr.String()))
	}
	objects, err := decodeManifests(stdout.Bytes())
	if err != nil {
		return nil, fmt.Errorf("output of %s: %w", program, err)
	}
	return objects, nil
}

// kubevirtManifests returns what KubeVirt's operator would install here.
func (c *ControlPlane) kubevirtManifests(ctx context.Context) ([]*unstructured.Unstructured, error) {
	args := []string{flag("virt-api-url", loopbackURL(c.ports.VirtAPI)), flag("ca-bundle-file", c.paths.crt(kubevirtCA))}
	if c.real() {
		args = append(args, flag("handler-image", HandlerImage),
			flag("handler-console-port", strconv.Itoa(c.ports.VirtHandler)), flag("handler-port", handlerPort))
	}
	objects, err := c.printManifests(ctx, "kubevirt-manifests", args...)
	if err != nil {
		return nil, err
	}
	if c.real() {
		secrets, err := c.handlerSecrets()
		if err != nil {
			return nil, err
		}
		objects = append(objects, secrets...)
	}
	for _, object := range objects {
		if object.GetKind() == "KubeVirt" {
			return objects, configureKubeVirt(object)
		}
	}
	return nil, errors.New("kubevirt-manifests prints no KubeVirt object")
}

// configureKubeVirt permits the guide's GPU and sets the status that virt-operator would:
// without a phase KubeVirt ignores its whole configuration, and without an architecture
// it refuses machines that name none.
func configureKubeVirt(object *unstructured.Unstructured) error {
	devices := []any{map[string]any{
		"pciVendorSelector": "10DE:20F1", "resourceName": GPUResource, "externalResourceProvider": true,
	}}
	path := []string{"spec", "configuration", "permittedHostDevices", "pciHostDevices"}
	if err := unstructured.SetNestedSlice(object.Object, devices, path...); err != nil {
		return err
	}
	status := map[string]any{"phase": "Deployed", "defaultArchitecture": runtime.GOARCH}
	return unstructured.SetNestedMap(object.Object, status, "status")
}

func (c *ControlPlane) virtAPI(ctx context.Context) (component, error) {
	kubeconfig, err := c.serviceAccountKubeconfig(ctx, kubevirtNamespace, virtAPIServiceAccount)
	if err != nil {
		return component{}, err
	}
	ready, err := httpsProbe{
		url:        loopbackURL(c.ports.VirtAPI) + "/apis/subresources.kubevirt.io/v1/healthz",
		serverName: "virt-api." + kubevirtNamespace + ".svc", rootsPEM: c.cas[kubevirtCA].certPEM,
	}.build()
	args := []string{
		flag("kubeconfig", kubeconfig), flag("listen", "127.0.0.1"), flag("port", strconv.Itoa(c.ports.VirtAPI)),
		flag("console-server-port", strconv.Itoa(c.ports.VirtHandler)),
		flag("tls-cert-file", c.paths.crt(VirtAPI)), flag("tls-key-file", c.paths.key(VirtAPI)),
		flag("handler-cert-file", c.paths.crt("virt-handler-client")), flag("handler-key-file", c.paths.key("virt-handler-client")),
	}
	// virt-api sleeps for 5 s after SIGTERM so that a load balancer may forget it. There
	// is none here.
	return component{name: VirtAPI, program: VirtAPI, args: args, ready: ready, tier: tierExtensions, grace: time.Second}, err
}

func (c *ControlPlane) virtController(ctx context.Context) (component, error) {
	kubeconfig, err := c.serviceAccountKubeconfig(ctx, kubevirtNamespace, virtControllerServiceAccount)
	if err != nil {
		return component{}, err
	}
	args := []string{
		flag("kubeconfig", kubeconfig), flag("listen", "127.0.0.1"), flag("port", strconv.Itoa(c.ports.VirtController)),
		flag("prom-cert-file", c.paths.crt(VirtController)), flag("prom-key-file", c.paths.key(VirtController)),
		flag("launcher-image", HandlerImage), flag("exporter-image", "local/virt-exportserver"),
	}
	return component{
		name: VirtController, program: VirtController, args: args, tier: tierExtensions, grace: time.Second,
		ready: c.leaseProbe(kubevirtNamespace, VirtController), lease: kubevirtNamespace + "/" + VirtController,
	}, nil
}
