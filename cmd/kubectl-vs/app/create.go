package app

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/kubernetes/scheme"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/cmd/kubectl-vs/await"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/images"
)

// defaultImage is what "kubectl vs create" takes if no image is named: the current Ubuntu LTS.
const defaultImage = "ubuntu:24.04"

// wish is a machine as the flags of "kubectl vs create" describe it.
type wish struct {
	cores                                    int32
	memory, disk                             string
	image, storageClass, strategy, cloudInit string
	gpu                                      string
	gpuCount                                 int32
	tcp, udp                                 []int32
}

// creation is one run of "kubectl vs create".
type creation struct {
	*session
	wish
	loginFlags
	wait    bool
	timeout time.Duration
	dryRun  string
	printer *genericclioptions.PrintFlags
}

func (s *session) createCommand() *cobra.Command {
	c := &creation{session: s, printer: genericclioptions.NewPrintFlags("created").WithTypeSetter(scheme.Scheme)}
	command := &cobra.Command{
		Use:     "create NAME",
		Short:   "Create a machine from flags",
		Example: "  kubectl vs create my-vs --image debian:13 --cores 2 --memory 4Gi --tcp 22,80 --wait\n  kubectl vs create my-vs --dry-run=client -o yaml > my-vs.yaml",
		Args:    cobra.MatchAll(cobra.ExactArgs(1), firstIsName),
		RunE: func(command *cobra.Command, arguments []string) error {
			// Who sits at a terminal wants to see it come up. A script says what it wants.
			if !command.Flags().Changed("wait") && isTerminal(c.ErrOut) {
				c.wait = true
			}
			return c.run(command.Context(), arguments[0])
		},
	}
	flags := command.Flags()
	flags.Int32Var(&c.cores, "cores", 1, "number of CPU cores")
	flags.StringVar(&c.memory, "memory", "2Gi", "memory of the guest")
	flags.StringVar(&c.disk, "disk", "10Gi", "size of the root disk")
	flags.StringVar(&c.image, "image", defaultImage, "name of an image, see \"kubectl vs images\", or its URL: http(s):// or docker://")
	c.loginFlags.add(flags)
	flags.StringVar(&c.storageClass, "storage-class", "", "StorageClass of the root disk; the cluster's default if empty")
	flags.StringVar(&c.strategy, "run-strategy", "Always", "Always, RerunOnFailure, Manual or Halted")
	flags.StringVar(&c.cloudInit, "cloud-init", "", "file with cloud-init user data")
	flags.StringVar(&c.gpu, "gpu", "", "type of GPU, such as nvidia.com/GA100_A100_PCIE_40GB")
	flags.Int32Var(&c.gpuCount, "gpu-count", 1, "number of GPUs")
	flags.Int32SliceVar(&c.tcp, "tcp", []int32{22}, "TCP ports that a Service exposes")
	flags.Int32SliceVar(&c.udp, "udp", nil, "UDP ports that a Service exposes")
	flags.BoolVar(&c.wait, "wait", false, "wait until the machine runs or, under Manual and Halted, can be started, and show progress; the default on a terminal")
	flags.DurationVar(&c.timeout, "timeout", 15*time.Minute, "how long to wait at most")
	flags.StringVar(&c.dryRun, "dry-run", "none", `"client" only prints the object, "server" has it checked too`)
	c.printer.AddFlags(command)
	s.completeCreate(command)
	return command
}

func (c *creation) run(ctx context.Context, name string) error {
	if err := checkDryRun(c.dryRun, "none", "client", "server"); err != nil {
		return err
	}
	printer, err := c.printerOfCreated()
	if err != nil {
		return err
	}
	vs, err := c.virtualServer(name)
	if err != nil {
		return err
	}
	// As kubectl does: a namespace from the kubeconfig is not written into a file that is meant for others.
	vs.Namespace = text(c.flags.Namespace)
	access, err := c.access(c.In, c.cloudInit != "")
	if err != nil {
		return err
	}
	var imageUser string
	if vs.Spec.Storage.Root.Source, imageUser, err = c.chooseImage(ctx); err != nil {
		return err
	}
	if c.cloudInit == "" { // It may make another user.
		access.ImageUser = imageUser
	}
	secrets, err := access.Apply(vs)
	if err != nil {
		return err
	}
	if c.dryRun != "client" {
		if vs, err = c.make(ctx, vs, secrets); err != nil {
			return err
		}
	}
	if c.wait && c.dryRun == "none" {
		if err := c.waitFor(ctx, vs.Name, "creating "+vs.Name, c.timeout, await.Created); err != nil {
			return err
		}
		if vs, err = c.get(ctx, vs.Name); err != nil {
			return err
		}
	}
	vs.SetGroupVersionKind(v1beta1.SchemeGroupVersion.WithKind("VirtualServer"))
	if c.dryRun == "none" {
		defer fmt.Fprintln(c.ErrOut, c.howToLogIn(name, access, c.cloudInit != ""))
		return printer.PrintObj(vs, c.Out)
	}
	for _, secret := range secrets {
		if err := printer.PrintObj(secret, c.Out); err != nil {
			return err
		}
	}
	planned, err := plan(vs)
	if err != nil {
		return err
	}
	return printer.PrintObj(planned, c.Out)
}

// make makes the machine, or has the server check it, with the Secrets that it needs.
func (c *creation) make(ctx context.Context, vs *v1beta1.VirtualServer, secrets []*corev1.Secret) (*v1beta1.VirtualServer, error) {
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	core, err := c.kube()
	if err != nil {
		return nil, err
	}
	namespace, err := c.namespace()
	if err != nil {
		return nil, err
	}
	options := metav1.CreateOptions{FieldManager: "kubectl-vs"}
	if c.dryRun == "server" {
		options.DryRun = []string{metav1.DryRunAll}
	}
	if len(secrets) > 0 {
		// The Secrets of a machine that exists are not those of another.
		if _, err := client.Get(ctx, vs.Name, metav1.GetOptions{}); err == nil {
			return nil, apierrors.NewAlreadyExists(v1beta1.Resource("virtualservers"), vs.Name)
		}
	}
	undo, err := makeSecrets(ctx, core, namespace, secrets, options.DryRun)
	if err != nil {
		return nil, err
	}
	made, err := client.Create(ctx, vs, options)
	if err != nil {
		undo(context.WithoutCancel(ctx))
	}
	return made, err
}

// chooseImage returns where the root disk comes from, and the user that the image has if that is known.
func (c *creation) chooseImage(ctx context.Context) (cdiv1.DataVolumeSource, string, error) {
	if !images.IsName(c.image) {
		return sourceOf(c.image), "", nil
	}
	catalogue := images.Default()
	if c.dryRun != "client" {
		client, err := c.kube()
		if err != nil {
			return cdiv1.DataVolumeSource{}, "", err
		}
		if catalogue, err = catalogueOf(ctx, client); err != nil {
			return cdiv1.DataVolumeSource{}, "", err
		}
	}
	choice, err := catalogue.Find(c.image)
	if err != nil {
		return cdiv1.DataVolumeSource{}, "", fmt.Errorf("--image: %w", err)
	}
	return choice.Source(), choice.Image.User, nil
}

// plan is a machine that does not exist, as one would write it down: without a status and without what the server would fill in for
// this one object.
func plan(vs *v1beta1.VirtualServer) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(vs)
	if err != nil {
		return nil, err
	}
	delete(content, "status")
	for _, filled := range []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"} {
		unstructured.RemoveNestedField(content, "metadata", filled)
	}
	return &unstructured.Unstructured{Object: content}, nil
}

// printerOfCreated prints the object or, if no format was asked for, what happened to it.
func (c *creation) printerOfCreated() (printers.ResourcePrinter, error) {
	happened := map[string]string{"none": "%s", "client": "%s (dry run)", "server": "%s (server dry run)"}[c.dryRun]
	if err := c.printer.Complete(happened); err != nil {
		return nil, err
	}
	return c.printer.ToPrinter()
}

// virtualServer is the machine without its image, and without what its user needs to log in.
func (w *wish) virtualServer(name string) (*v1beta1.VirtualServer, error) {
	memory, err := parseQuantity("memory", w.memory)
	if err != nil {
		return nil, err
	}
	disk, err := parseQuantity("disk", w.disk)
	if err != nil {
		return nil, err
	}
	vs := &v1beta1.VirtualServer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1beta1.VirtualServerSpec{
		RunStrategy: v1beta1.RunStrategy(w.strategy),
		Resources:   v1beta1.Resources{CPU: v1beta1.CPU{Cores: intstr.FromInt32(w.cores)}, Memory: memory},
		Storage:     v1beta1.Storage{Root: v1beta1.RootDisk{PVC: v1beta1.RootDiskClaim{Size: disk}}},
		Network:     v1beta1.Network{TCP: w.tcp, UDP: w.udp},
	}}
	vs.SetGroupVersionKind(v1beta1.SchemeGroupVersion.WithKind("VirtualServer"))
	if w.storageClass != "" {
		vs.Spec.Storage.Root.PVC.StorageClassName = &w.storageClass
	}
	if w.gpu != "" {
		vs.Spec.Resources.GPU = &v1beta1.GPU{Type: w.gpu, Count: w.gpuCount}
	}
	if w.cloudInit != "" {
		userData, err := os.ReadFile(w.cloudInit)
		if err != nil {
			return nil, err
		}
		vs.Spec.CloudInit = string(userData)
	}
	return vs, nil
}

// sourceOf chooses the source by the scheme of the image's URL.
func sourceOf(image string) cdiv1.DataVolumeSource {
	for _, scheme := range []string{cdiv1.RegistrySchemeDocker, cdiv1.RegistrySchemeOci} {
		if len(image) > len(scheme) && image[:len(scheme)+1] == scheme+":" {
			return cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{URL: &image}}
		}
	}
	return cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: image}}
}
