package app

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"

	"tensorstack.dev/virtualserver/cmd/kubectl-vs/bundle"
)

func (s *session) supportBundleCommand() *cobra.Command {
	var output, system string
	command := &cobra.Command{
		Use:   "support-bundle",
		Short: "Gather what helps to find out what is wrong, without secrets (for administrators)",
		Long: "Gather VirtualServers, what is behind them, and the logs of the server in one archive. Secrets are not read. cloud-init, " +
			"tokens, passwords and what URLs carry are left out; names, addresses and messages stay. Read it before you give it away.",
		Example: "  kubectl vs support-bundle\n  kubectl vs support-bundle -n team --output team.tar.gz",
		Args:    unknownCommand,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := s.config()
			if err != nil {
				return err
			}
			objects, err := dynamic.NewForConfig(config)
			if err != nil {
				return err
			}
			core, err := s.kube()
			if err != nil {
				return err
			}
			// A file that is there is never overwritten.
			file, err := os.OpenFile(output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			options := bundle.Options{SystemNamespace: system, Namespace: *s.flags.Namespace, Now: time.Now()}
			if err := bundle.Write(command.Context(), file, options, objects, core); err != nil {
				_ = file.Close()
				return err
			}
			if err := file.Close(); err != nil {
				return err
			}
			fmt.Fprintf(s.Out, "Wrote %s. What could not be read is named in its missing.txt.\n", output)
			return nil
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "virtualserver-support.tar.gz", "file to write, which must not exist yet")
	command.Flags().StringVar(&system, "system-namespace", "virtualserver-system", "namespace that the server runs in")
	return command
}
