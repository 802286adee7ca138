package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/images"
)

// catalogueOf is the catalogue of the cluster, or the one that is built in where there is none or it may not be read.
func catalogueOf(ctx context.Context, client kubernetes.Interface) (*images.Catalogue, error) {
	published, err := client.CoreV1().ConfigMaps(images.ConfigMapNamespace).Get(ctx, images.ConfigMapName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsForbidden(err):
		return images.Default(), nil
	case err != nil:
		return nil, err
	}
	catalogue, err := images.Parse([]byte(published.Data[images.ConfigMapKey]))
	if err != nil {
		return nil, fmt.Errorf("the catalogue of images, %s of the ConfigMap %s/%s: %w", images.ConfigMapKey, images.ConfigMapNamespace, images.ConfigMapName, err)
	}
	return catalogue, nil
}

func (s *session) imagesCommand() *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:     "images",
		Short:   "List the images that machines can be made from by name",
		Example: "  kubectl vs images\n  kubectl vs create my-vs --image debian:13",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			client, err := s.kube()
			if err != nil {
				return err
			}
			catalogue, err := catalogueOf(command.Context(), client)
			if err != nil {
				return err
			}
			return writeCatalogue(s.Out, catalogue, format)
		},
	}
	command.Flags().StringVarP(&format, "output", "o", "", "json or yaml; yaml is what an administrator publishes")
	return command
}

func writeCatalogue(out io.Writer, catalogue *images.Catalogue, format string) error {
	switch format {
	case "json":
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(catalogue)
	case "yaml":
		text, err := yaml.Marshal(catalogue)
		if err != nil {
			return err
		}
		_, err = out.Write(text)
		return err
	case "":
	default:
		return fmt.Errorf("--output is json or yaml, not %q", format)
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "IMAGE\tTITLE\tUSER\tFROM")
	for _, image := range catalogue.Images {
		for _, version := range image.Versions {
			from := version.URL
			if version.Claim != nil {
				from = "a copy of the claim " + version.Claim.Namespace + "/" + version.Claim.Name
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", image.Name+":"+version.Version, plain(image.Title), plain(image.User), plain(from))
		}
	}
	return table.Flush()
}
