// Command cdi-manifests prints what CDI's operator installs in a cluster, as
// one stream of YAML documents, for a cdi-apiserver and a cdi-controller that
// run as plain processes on this machine.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cdi-manifests:", err)
		os.Exit(1)
	}
}

// run parses the command line, builds the objects and prints them to out.
func run(args []string, out io.Writer) error {
	var address, caFile, gates string
	opts := options{}
	flags := flag.NewFlagSet("cdi-manifests", flag.ContinueOnError)
	flags.StringVar(&address, "cdi-api-url", "", "where kube-apiserver reaches cdi-apiserver's webhooks, https://127.0.0.1:PORT (required)")
	flags.IntVar(&opts.port, "cdi-api-port", 0, "port of cdi-apiserver for the APIService; default is the port in --cdi-api-url")
	flags.StringVar(&caFile, "ca-bundle-file", "", "PEM certificates that cdi-apiserver's serving certificate verifies against (required)")
	flags.StringVar(&gates, "feature-gates", "HonorWaitForFirstConsumer", "comma-separated feature gates of the CDI object")
	flags.StringVar(&opts.uploadProxyImage, "upload-proxy-image", "", "image of cdi-uploadproxy, which runs as a pod; without one there is no upload proxy")
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
	if opts.url, err = parseServerURL(address); err != nil {
		return fmt.Errorf("--cdi-api-url: %w", err)
	}
	if opts.port == 0 {
		opts.port = portOf(opts.url)
	}
	if opts.port < 1 || opts.port > 65535 {
		return fmt.Errorf("--cdi-api-port %d is not between 1 and 65535", opts.port)
	}
	opts.featureGates = strings.FieldsFunc(gates, func(r rune) bool { return r == ',' })

	objects, err := manifests(opts)
	if err != nil {
		return err
	}
	return writeDocuments(out, objects)
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
