package app

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// newSizes are what "kubectl vs resize" changes; what is empty stays.
type newSizes struct {
	cores        int32
	memory, disk string
}

// patch is the change of the object.
func (z newSizes) patch() ([]byte, error) {
	resources, spec := map[string]any{}, map[string]any{}
	switch {
	case z.cores < 0:
		return nil, fmt.Errorf("--cores: %d is no number of cores", z.cores)
	case z.cores > 0:
		resources["cpu"] = map[string]any{"cores": z.cores}
	}
	if z.memory != "" {
		memory, err := parseQuantity("memory", z.memory)
		if err != nil {
			return nil, err
		}
		resources["memory"] = memory
	}
	if len(resources) > 0 {
		spec["resources"] = resources
	}
	if z.disk != "" {
		disk, err := parseQuantity("disk", z.disk)
		if err != nil {
			return nil, err
		}
		spec["storage"] = map[string]any{"root": map[string]any{"pvc": map[string]any{"size": disk}}}
	}
	if len(spec) == 0 {
		return nil, errors.New("say what to change: --cores, --memory or --disk")
	}
	return json.Marshal(map[string]any{"spec": spec})
}

func (s *session) resizeCommand() *cobra.Command {
	var wanted newSizes
	var dryRun string
	command := s.named(&cobra.Command{
		Use:     "resize NAME",
		Short:   "Change the CPU, the memory or the root disk of a machine",
		Example: "  kubectl vs resize web --cores 4 --memory 8Gi\n  kubectl vs resize web --disk 40Gi",
	})
	command.Flags().Int32Var(&wanted.cores, "cores", 0, "number of CPU cores")
	command.Flags().StringVar(&wanted.memory, "memory", "", "memory of the guest")
	command.Flags().StringVar(&wanted.disk, "disk", "", "size of the root disk, which can only grow")
	command.Flags().StringVar(&dryRun, "dry-run", "none", `"server" checks the change without making it`)
	command.RunE = func(command *cobra.Command, arguments []string) error {
		if err := checkDryRun(dryRun, "none", "server"); err != nil {
			return err
		}
		patch, err := wanted.patch()
		if err != nil {
			return err
		}
		client, err := s.client()
		if err != nil {
			return err
		}
		options, done := metav1.PatchOptions{FieldManager: "kubectl-vs"}, "resized"
		if dryRun == "server" {
			options.DryRun, done = []string{metav1.DryRunAll}, "resized (server dry run)"
		}
		vs, err := client.Patch(command.Context(), arguments[0], types.MergePatchType, patch, options)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.Out, "virtualserver/%s %s\n", vs.Name, done)
		if dryRun == "none" && wanted.needsRestart() && vs.Status.PrintableStatus != v1beta1.StatusStopped {
			fmt.Fprintf(s.ErrOut, "It takes effect with a restart: %s\n", s.again("restart", vs.Name))
		}
		return nil
	}
	return command
}

// needsRestart says whether a machine that runs goes on as it is.
func (z newSizes) needsRestart() bool { return z.cores > 0 || z.memory != "" }
