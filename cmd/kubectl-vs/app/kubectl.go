package app

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// kubectlVerb is a command of kubectl's own, on VirtualServers: everything after the word is kubectl's, so it works as people know
// it, with several names, selectors, --all and all formats.
func (s *session) kubectlVerb(command *cobra.Command, verb string, more func(arguments []string) []string) *cobra.Command {
	command.Long = command.Short + ".\n\nThis is kubectl " + verb + " for VirtualServers; its flags are kubectl's: kubectl " + verb + " --help."
	command.DisableFlagParsing = true
	command.ValidArgsFunction = s.completeNames
	command.RunE = func(command *cobra.Command, arguments []string) error {
		if slices.Contains(arguments, "--help") || slices.Contains(arguments, "-h") {
			return command.Help()
		}
		program, err := exec.LookPath("kubectl")
		if err != nil {
			return fmt.Errorf("kubectl is needed: %w", err)
		}
		if more != nil {
			arguments = append(more(arguments), arguments...)
		}
		return s.runChild(command.Context(), "", program, append([]string{verb, "virtualservers." + v1beta1.GroupName}, arguments...)...)
	}
	return command
}

func (s *session) getCommand() *cobra.Command {
	return s.kubectlVerb(&cobra.Command{
		Use: "get [NAME...]", Aliases: []string{"list"},
		Short:   "List machines, or show some of them",
		Example: "  kubectl vs get\n  kubectl vs list -A\n  kubectl vs get web db -o wide\n  kubectl vs get -l team=blue --watch",
	}, "get", nil)
}

func (s *session) describeCommand() *cobra.Command {
	return s.kubectlVerb(&cobra.Command{
		Use:     "describe [NAME...]",
		Short:   "Show machines in full, with their events",
		Example: "  kubectl vs describe web\n  kubectl vs describe -l team=blue",
	}, "describe", nil)
}

func (s *session) editCommand() *cobra.Command {
	return s.kubectlVerb(&cobra.Command{
		Use:     "edit NAME",
		Short:   "Edit a machine in your editor",
		Example: "  kubectl vs edit web",
	}, "edit", nil)
}

func (s *session) deleteCommand() *cobra.Command {
	return s.kubectlVerb(&cobra.Command{
		Use:     "delete NAME... | -l LABEL | --all",
		Short:   "Delete machines with their disks; on a terminal, after a question",
		Example: "  kubectl vs delete web db\n  kubectl vs delete -l team=blue\n  kubectl vs delete web --interactive=false",
	}, "delete", func(arguments []string) []string {
		if !isTerminal(s.In) || saysHowToAsk(arguments) {
			return nil
		}
		return []string{"--interactive"}
	})
}

// saysHowToAsk says whether the arguments of delete say themselves whether to ask, or delete nothing.
func saysHowToAsk(arguments []string) bool {
	return slices.ContainsFunc(arguments, func(word string) bool {
		return word == "-i" || strings.HasPrefix(word, "--interactive") || strings.HasPrefix(word, "--dry-run")
	})
}

// completeNames completes one name after the other.
func (s *session) completeNames(command *cobra.Command, arguments []string, prefix string) ([]string, cobra.ShellCompDirective) {
	found, directive := s.completeName(command, nil, prefix)
	return slices.DeleteFunc(found, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "\t")
		return slices.Contains(arguments, name)
	}), directive
}
