// Command kubevirt-manifests prints what KubeVirt's operator installs in a
// cluster, as one stream of YAML documents, for a virt-api and a
// virt-controller that run as plain processes on this machine, and on request
// for virt-handler on its nodes.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kubevirt-manifests:", err)
		os.Exit(1)
	}
}

// run parses the command line, builds the objects and prints them to out.
func run(args []string, out io.Writer) error {
	var virtAPI, caFile, gates string
	opts := options{}
	flags := flag.NewFlagSet("kubevirt-manifests", flag.ContinueOnError)
	flags.StringVar(&virtAPI, "virt-api-url", "", "where kube-apiserver reaches virt-api's webhooks, https://127.0.0.1:PORT (required)")
	flags.IntVar(&opts.virtAPIPort, "virt-api-port", 0, "port of virt-api for the APIServices; default is the port in --virt-api-url")
	flags.StringVar(&caFile, "ca-bundle-file", "", "PEM certificates that virt-api's and virt-handler's serving certificates verify against (required)")
	flags.StringVar(&gates, "feature-gates", "EnableVirtioFsStorageVolumes,EnableVirtioFsConfigVolumes,HotplugVolumes", "comma-separated feature gates of the KubeVirt object")
	flags.BoolVar(&opts.useEmulation, "use-emulation", true, "let machines run on nodes without the kvm device")
	flags.StringVar(&opts.handler.image, "handler-image", "", "print virt-handler's DaemonSet too, with this image for it and the node labeller; it needs a tag other than latest")
	flags.IntVar(&opts.handler.consolePort, "handler-console-port", 8186, "port of virt-handler for virt-api, the same as its --console-server-port")
	flags.IntVar(&opts.handler.port, "handler-port", 8443, "port of virt-handler for health and metrics")
	flags.StringVar(&opts.handler.kubeconfigConfigMap, "handler-kubeconfig-configmap", "", "ConfigMap of namespace kubevirt whose key kubeconfig virt-handler uses in place of what a pod is given")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if caFile == "" {
		return fmt.Errorf("--ca-bundle-file is required")
	}
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return fmt.Errorf("read the CA bundle: %w", err)
	}
	opts.caBundle = ca
	if opts.virtAPIURL, err = parseServerURL(virtAPI); err != nil {
		return fmt.Errorf("--virt-api-url: %w", err)
	}
	if opts.virtAPIPort == 0 {
		opts.virtAPIPort = portOf(opts.virtAPIURL)
	}
	opts.featureGates = strings.FieldsFunc(gates, func(r rune) bool { return r == ',' })

	objects, err := manifests(opts)
	if err != nil {
		return err
	}
	return writeDocuments(out, objects)
}

// writeDocuments writes the objects as YAML documents.
func writeDocuments(out io.Writer, objects []map[string]any) error {
	w := bufio.NewWriter(out)
	for _, object := range objects {
		doc, err := yaml.Marshal(object)
		if err != nil {
			return fmt.Errorf("encode %v: %w", object["kind"], err)
		}
		fmt.Fprintf(w, "---\n%s", doc)
	}
	return w.Flush()
}
