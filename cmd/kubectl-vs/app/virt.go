package app

import (
	"errors"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// virtPrefix is where the extension server answers in the way of KubeVirt, by the VirtualServer's own name.
const virtPrefix = "/apis/" + v1beta1.GroupName + "/v1beta1/kubevirt"

func (s *session) virtCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "virt VIRTCTL-ARGUMENTS",
		Short: "Run any command of virtctl on a VirtualServer, by its own name",
		Long: "Run any command of virtctl (kubectl virt) on a VirtualServer, by its own name. The flags for the connection\n" +
			"must stand before the word virt.",
		Example: "  kubectl vs virt guestosinfo my-vs\n  kubectl vs -n team virt pause vm my-vs",
		// Everything after the word virt is virtctl's.
		DisableFlagParsing: true,
		RunE: func(command *cobra.Command, arguments []string) error {
			program, err := findVirtctl()
			if err != nil {
				return err
			}
			config, err := s.config()
			if err != nil {
				return err
			}
			namespace, err := s.namespace()
			if err != nil {
				return err
			}
			flags := s.connectionFlags()
			flags = append(flags, "--server", strings.TrimSuffix(config.Host, "/")+virtPrefix, "--namespace", namespace)
			run := exec.CommandContext(command.Context(), program, append(dropServer(flags), arguments...)...)
			run.Stdin, run.Stdout, run.Stderr = s.In, s.Out, s.ErrOut
			return run.Run()
		},
	}
}

// dropServer keeps only the last --server.
func dropServer(flags []string) []string {
	last := 0
	for i, flag := range flags {
		if flag == "--server" {
			last = i
		}
	}
	var kept []string
	for i := 0; i < len(flags); i++ {
		if flags[i] == "--server" && i != last {
			i++
			continue
		}
		kept = append(kept, flags[i])
	}
	return kept
}

func findVirtctl() (string, error) {
	for _, name := range []string{"virtctl", "kubectl-virt"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("virtctl is needed: install it with 'kubectl krew install virt'")
}
