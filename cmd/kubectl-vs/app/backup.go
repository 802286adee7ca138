package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	clientv1beta1 "tensorstack.dev/virtualserver/pkg/generated/clientset/versioned/typed/tensorstack/v1beta1"
)

// document is what a backup has of a VirtualServer: what people write, and nothing of what servers add.
type document struct {
	APIVersion string                    `json:"apiVersion"`
	Kind       string                    `json:"kind"`
	Metadata   documentMeta              `json:"metadata"`
	Spec       v1beta1.VirtualServerSpec `json:"spec"`
}

type documentMeta struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func documentOf(vs *v1beta1.VirtualServer) document {
	return document{
		APIVersion: v1beta1.SchemeGroupVersion.String(), Kind: "VirtualServer",
		Metadata: documentMeta{Name: vs.Name, Namespace: vs.Namespace, Labels: vs.Labels, Annotations: vs.Annotations},
		Spec:     vs.Spec,
	}
}

func (s *session) backupCommand() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "backup",
		Short: "Write all VirtualServers into a file, from which restore makes them again (for administrators)",
		Long: "Write the VirtualServers of all namespaces, or of the one that -n names, into a file. It is YAML that kubectl apply takes " +
			"too. It has their cloud-init and with it what is secret there. Disks are not in it: back up their claims as any others.",
		Example: "  kubectl vs backup --output backup.yaml\n  kubectl vs restore --filename backup.yaml",
		Args:    unknownCommand,
		RunE: func(command *cobra.Command, _ []string) error {
			group, err := s.group()
			if err != nil {
				return err
			}
			list, err := group.VirtualServers(*s.flags.Namespace).List(command.Context(), metav1.ListOptions{})
			if err != nil {
				return err
			}
			file, err := os.OpenFile(output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			number, err := writeBackup(file, list.Items)
			if err = errors.Join(err, file.Close()); err != nil {
				return err
			}
			fmt.Fprintf(s.Out, "Wrote %d VirtualServers into %s.\n", number, output)
			return nil
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "", "file to write, which must not exist yet")
	cobra.CheckErr(command.MarkFlagRequired("output"))
	return command
}

// writeBackup writes all that are not being deleted, and returns how many these are.
func writeBackup(out io.Writer, servers []v1beta1.VirtualServer) (int, error) {
	servers = slices.DeleteFunc(slices.Clone(servers), func(vs v1beta1.VirtualServer) bool { return vs.DeletionTimestamp != nil })
	slices.SortFunc(servers, func(a, b v1beta1.VirtualServer) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for i := range servers {
		content, err := sigsyaml.Marshal(documentOf(&servers[i]))
		if err != nil {
			return 0, err
		}
		if _, err := fmt.Fprintf(out, "---\n%s", content); err != nil {
			return 0, err
		}
	}
	return len(servers), nil
}

func (s *session) restoreCommand() *cobra.Command {
	var (
		filename       string
		halted, dryRun bool
	)
	command := &cobra.Command{
		Use:   "restore",
		Short: "Make the VirtualServers of a backup again that do not exist (for administrators)",
		Long: "Make the VirtualServers of a backup again that do not exist. Those that exist are left as they are. One whose machine is " +
			"still there takes it over, and nothing starts or stops. Where there is none, it is made, its disk is imported, and it " +
			"starts as its run strategy says, or not at all with --halted. Namespaces must exist.",
		Example: "  kubectl vs restore --filename backup.yaml\n  kubectl vs restore --filename backup.yaml -n team --halted",
		Args:    unknownCommand,
		RunE: func(command *cobra.Command, _ []string) error {
			file, err := os.Open(filename)
			if err != nil {
				return err
			}
			defer func() { _ = file.Close() }()
			servers, err := readBackup(file)
			if err != nil {
				return fmt.Errorf("%s: %w", filename, err)
			}
			group, err := s.group()
			if err != nil {
				return err
			}
			restore := restoring{out: s.Out, group: group, namespace: *s.flags.Namespace, halted: halted, dryRun: dryRun}
			return restore.all(command.Context(), servers)
		},
	}
	command.Flags().StringVarP(&filename, "filename", "f", "", "file that backup wrote")
	command.Flags().BoolVar(&halted, "halted", false, "let no machine start by itself")
	command.Flags().BoolVar(&dryRun, "dry-run", false, "ask the server, and make nothing")
	cobra.CheckErr(command.MarkFlagRequired("filename"))
	return command
}

// readBackup reads everything before anything is made, so that a broken file makes nothing.
func readBackup(in io.Reader) ([]v1beta1.VirtualServer, error) {
	var servers []v1beta1.VirtualServer
	for decoder := yaml.NewYAMLOrJSONDecoder(in, 4096); ; {
		var read document
		err := decoder.Decode(&read)
		if errors.Is(err, io.EOF) {
			return servers, nil
		}
		if err != nil {
			return nil, err
		}
		if read.APIVersion == "" && read.Kind == "" && read.Metadata.Name == "" {
			continue // Nothing between two lines of dashes.
		}
		if read.APIVersion != v1beta1.SchemeGroupVersion.String() || read.Kind != "VirtualServer" || read.Metadata.Name == "" || read.Metadata.Namespace == "" {
			return nil, fmt.Errorf("document %d is no VirtualServer with a name and a namespace", len(servers)+1)
		}
		servers = append(servers, v1beta1.VirtualServer{
			ObjectMeta: metav1.ObjectMeta{Name: read.Metadata.Name, Namespace: read.Metadata.Namespace,
				Labels: read.Metadata.Labels, Annotations: read.Metadata.Annotations},
			Spec: read.Spec,
		})
	}
}

// restoring makes VirtualServers again.
type restoring struct {
	out            io.Writer
	group          clientv1beta1.TensorstackV1beta1Interface
	namespace      string
	halted, dryRun bool
}

// all goes on after an error, and returns all errors.
func (r restoring) all(ctx context.Context, servers []v1beta1.VirtualServer) error {
	var failures []error
	for i := range servers {
		vs := &servers[i]
		if r.namespace != "" && vs.Namespace != r.namespace {
			continue
		}
		if r.halted {
			vs.Spec.RunStrategy = v1beta1.RunStrategyHalted
		}
		options := metav1.CreateOptions{FieldManager: "kubectl-vs"}
		past := "restored"
		if r.dryRun {
			options.DryRun, past = []string{metav1.DryRunAll}, "would be restored"
		}
		_, err := r.group.VirtualServers(vs.Namespace).Create(ctx, vs, options)
		switch {
		case apierrors.IsAlreadyExists(err):
			past = "exists and is left as it is"
		case err != nil:
			failures = append(failures, fmt.Errorf("%s/%s: %w", vs.Namespace, vs.Name, err))
			continue
		}
		fmt.Fprintf(r.out, "virtualserver.%s/%s %s in namespace %s\n", v1beta1.GroupName, vs.Name, past, vs.Namespace)
	}
	return errors.Join(failures...)
}
