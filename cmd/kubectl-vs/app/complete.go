package app

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// completion lists what a flag can be. Each entry may have an explanation behind a tab.
type completion func(*cobra.Command) []string

// completeFlag has the shell complete the values of a flag. A flag that no longer exists is a mistake of the program.
func completeFlag(command *cobra.Command, flag string, list completion) {
	cobra.CheckErr(command.RegisterFlagCompletionFunc(flag,
		func(command *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
			found := slices.DeleteFunc(list(command), func(entry string) bool { return !strings.HasPrefix(entry, prefix) })
			return found, cobra.ShellCompDirectiveNoFileComp
		}))
}

// completeCreate completes the flags of create. What may not be read is not completed.
func (s *session) completeCreate(command *cobra.Command) {
	completeFlag(command, "run-strategy", func(*cobra.Command) []string { return runStrategies() })
	completeFlag(command, "dry-run", func(*cobra.Command) []string { return []string{"none", "client", "server"} })
	completeFlag(command, "storage-class", s.storageClasses)
	completeFlag(command, "image", s.imageNames)
	completeFlag(command, "gpu", s.gpuTypes)
}

func runStrategies() []string {
	return []string{
		string(v1beta1.RunStrategyAlways) + "\tit always runs",
		string(v1beta1.RunStrategyRerunOnFailure) + "\tit runs until it is shut down from inside",
		string(v1beta1.RunStrategyManual) + "\tit runs when it is told to",
		string(v1beta1.RunStrategyHalted) + "\tit does not run",
	}
}

func (s *session) storageClasses(command *cobra.Command) []string {
	client, err := s.kube()
	if err != nil {
		return nil
	}
	classes, err := client.StorageV1().StorageClasses().List(command.Context(), metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var names []string
	for _, class := range classes.Items {
		names = append(names, class.Name+"\t"+class.Provisioner)
	}
	return names
}

func (s *session) imageNames(command *cobra.Command) []string {
	client, err := s.kube()
	if err != nil {
		return nil
	}
	catalogue, err := catalogueOf(command.Context(), client)
	if err != nil {
		return nil
	}
	var names []string
	for _, image := range catalogue.Images {
		for _, version := range image.Versions {
			names = append(names, image.Name+":"+version.Version+"\t"+image.Title)
		}
	}
	return names
}

// gpuTypes are the devices that nodes offer, but for KubeVirt's own.
func (s *session) gpuTypes(command *cobra.Command) []string {
	client, err := s.kube()
	if err != nil {
		return nil
	}
	nodes, err := client.CoreV1().Nodes().List(command.Context(), metav1.ListOptions{})
	if err != nil {
		return nil
	}
	types := map[string]bool{}
	for i := range nodes.Items {
		for resource := range nodes.Items[i].Status.Allocatable {
			if domain, _, found := strings.Cut(string(resource), "/"); found && domain != "devices.kubevirt.io" {
				types[string(resource)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(types))
}
