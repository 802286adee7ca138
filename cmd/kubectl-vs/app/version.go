package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/version"
)

// versions are those of everything that a machine depends on.
type versions struct {
	Client version.Info `json:"client"`
	// What cannot be read has no version, and a note that says why.
	Server     *found `json:"server,omitempty"`
	Kubernetes *found `json:"kubernetes,omitempty"`
	KubeVirt   *found `json:"kubeVirt,omitempty"`
	CDI        *found `json:"cdi,omitempty"`
}

// found is what a server said of its version, or why it is not known.
type found struct {
	Version string `json:"version,omitempty"`
	Note    string `json:"note,omitempty"`
}

func (f *found) String() string {
	if f.Version != "" {
		return f.Version
	}
	return f.Note
}

func (s *session) versionCommand() *cobra.Command {
	var client bool
	var format string
	command := &cobra.Command{
		Use:     "version",
		Short:   "Show the versions of this plugin, of the server, and of Kubernetes, KubeVirt and CDI",
		Example: "  kubectl vs version\n  kubectl vs version --client -o json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			all := versions{Client: version.Get()}
			if !client {
				if err := s.askVersions(command.Context(), &all); err != nil {
					return err
				}
			}
			return writeVersions(s.Out, all, format)
		},
	}
	command.Flags().BoolVar(&client, "client", false, "show that of the plugin only, and ask no server")
	command.Flags().StringVarP(&format, "output", "o", "", "json or yaml")
	return command
}

// askVersions fills in what servers say. Only a cluster that does not answer at all is an error.
func (s *session) askVersions(ctx context.Context, all *versions) error {
	config, err := s.config()
	if err != nil {
		return err
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	server := clients.RESTClient()
	all.Kubernetes = askVersion(ctx, server, "/version", gitVersion)
	if all.Kubernetes.Version == "" {
		return fmt.Errorf("the version of the cluster: %s", all.Kubernetes.Note)
	}
	all.Server = askVersion(ctx, server, "/openapi/v3/apis/"+v1beta1.SchemeGroupVersion.String(), func(body []byte) (string, error) {
		var answer struct {
			Info struct{ Version string } `json:"info"`
		}
		err := json.Unmarshal(body, &answer)
		return answer.Info.Version, err
	})
	// Everybody may read it, other than the object of the installation.
	all.KubeVirt = askVersion(ctx, server, "/apis/subresources.kubevirt.io/v1/version", gitVersion)
	all.CDI = askVersion(ctx, server, "/apis/cdi.kubevirt.io/v1beta1/cdis", func(body []byte) (string, error) {
		var answer struct {
			Items []struct {
				Status struct {
					ObservedVersion string `json:"observedVersion"`
				} `json:"status"`
			} `json:"items"`
		}
		err := json.Unmarshal(body, &answer)
		if err != nil || len(answer.Items) == 0 {
			return "", err
		}
		return answer.Items[0].Status.ObservedVersion, nil
	})
	return nil
}

// gitVersion is what Kubernetes and KubeVirt answer.
func gitVersion(body []byte) (string, error) {
	var answer struct {
		GitVersion string `json:"gitVersion"`
	}
	err := json.Unmarshal(body, &answer)
	return answer.GitVersion, err
}

// askVersion reads a path and has the version taken out of the answer.
func askVersion(ctx context.Context, server rest.Interface, path string, read func([]byte) (string, error)) *found {
	body, err := server.Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(ctx)
	switch {
	case apierrors.IsNotFound(err):
		return &found{Note: "not installed"}
	case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err):
		return &found{Note: "you may not see it"}
	case apierrors.IsServiceUnavailable(err):
		return &found{Note: "installed, and not available now"}
	case err != nil:
		return &found{Note: err.Error()}
	}
	told, err := read(body)
	switch {
	case err != nil:
		return &found{Note: "the answer cannot be read: " + err.Error()}
	case told == "":
		return &found{Note: "installed, of a version that it does not tell"}
	}
	return &found{Version: told}
}

func writeVersions(out io.Writer, all versions, format string) error {
	switch format {
	case "json":
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(all)
	case "yaml":
		text, err := yaml.Marshal(all)
		if err != nil {
			return err
		}
		_, err = out.Write(text)
		return err
	case "":
	default:
		return fmt.Errorf("--output is json or yaml, not %q", format)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "Client:\t%s\n", all.Client.Version)
	for _, line := range []struct {
		name string
		what *found
	}{{"Server", all.Server}, {"Kubernetes", all.Kubernetes}, {"KubeVirt", all.KubeVirt}, {"CDI", all.CDI}} {
		if line.what != nil {
			fmt.Fprintf(table, "%s:\t%s\n", line.name, line.what)
		}
	}
	return table.Flush()
}
