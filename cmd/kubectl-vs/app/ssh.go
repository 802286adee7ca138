package app

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"
)

func (s *session) sshCommand() *cobra.Command {
	var port uint16
	command := &cobra.Command{
		Use:               "ssh [USER@]NAME [-- SSH-ARGUMENTS]",
		Short:             "Log in to a machine with the local ssh",
		Example:           "  kubectl vs ssh ubuntu@my-vs\n  kubectl vs ssh ubuntu@my-vs -- -i ~/.ssh/id_ed25519 uptime",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: s.completeLogin,
	}
	command.Flags().Uint16Var(&port, "port", 22, "the port that ssh listens on in the machine")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		namespace, err := s.namespace()
		if err != nil {
			return err
		}
		ssh, err := exec.LookPath("ssh")
		if err != nil {
			return fmt.Errorf("the local ssh is needed: %w", err)
		}
		user, name, named := strings.Cut(arguments[0], "@")
		if !named {
			user, name = "", arguments[0]
		}
		// ssh itself runs this program again, which carries its bytes to the machine. It connects by the kubeconfig that ssh gets.
		proxy := []string{self}
		if timeout := text(s.flags.Timeout); timeout != "" && timeout != "0" {
			proxy = append(proxy, "--request-timeout", timeout) // A kubeconfig has no room for it.
		}
		proxy = append(proxy, "port-forward", "--stdio", "--namespace", namespace, name, fmt.Sprint(port))
		return s.runChild(command.Context(), "", ssh, sshArguments(user, namespace, name, proxy, arguments[1:])...)
	}
	return command
}

// completeLogin completes the name behind a user.
func (s *session) completeLogin(command *cobra.Command, arguments []string, prefix string) ([]string, cobra.ShellCompDirective) {
	user, name, named := strings.Cut(prefix, "@")
	if !named {
		return s.completeName(command, arguments, prefix)
	}
	names, directive := s.completeName(command, arguments, name)
	for i := range names {
		names[i] = user + "@" + names[i]
	}
	return names, directive
}

// sshArguments are ssh's own. The host alias keeps the keys of different machines apart in known_hosts.
func sshArguments(user, namespace, name string, proxy, more []string) []string {
	quoted := make([]string, len(proxy))
	for i, word := range proxy {
		quoted[i] = "'" + strings.ReplaceAll(strings.ReplaceAll(word, "%", "%%"), "'", `'\''`) + "'"
	}
	alias := "vs." + name + "." + namespace
	arguments := []string{"-o", "ProxyCommand=" + strings.Join(quoted, " "), "-o", "HostKeyAlias=" + alias}
	if user != "" {
		arguments = append(arguments, "-l", user)
	}
	var options, remote []string
	for i, word := range more {
		if !strings.HasPrefix(word, "-") && (i == 0 || !takesValue(more[i-1])) {
			remote = more[i:]
			break
		}
		options = append(options, word)
	}
	arguments = append(arguments, options...)
	return append(append(arguments, alias), remote...)
}

// takesValue says whether an option of ssh is followed by its value (ssh(1)).
func takesValue(option string) bool {
	return len(option) == 2 && strings.Contains("BbcDEeFIiJLlmOoPpQRSWw", option[1:])
}
