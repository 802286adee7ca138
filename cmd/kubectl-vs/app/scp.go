package app

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// remoteFile is a file in a machine, as in ann@web:notes.txt.
type remoteFile struct{ user, name, path string }

// parseRemote reads [USER@]NAME:PATH. What has a slash before the colon, or no colon, is a file here, as scp has it.
func parseRemote(word string) (remoteFile, bool) {
	machine, path, found := strings.Cut(word, ":")
	if !found || machine == "" || strings.ContainsAny(machine, `/\`) {
		return remoteFile{}, false
	}
	user, name, named := strings.Cut(machine, "@")
	if !named {
		user, name = "", machine
	}
	return remoteFile{user: user, name: name, path: path}, true
}

// machineOfCopy finds the one machine that files are copied to or from.
func machineOfCopy(words []string) (remoteFile, error) {
	var machine *remoteFile
	for _, word := range words {
		remote, ok := parseRemote(word)
		switch {
		case !ok:
		case machine != nil && (machine.name != remote.name || machine.user != remote.user):
			return remoteFile{}, errors.New("files are copied to or from one machine at a time")
		default:
			machine = &remote
		}
	}
	if machine == nil {
		return remoteFile{}, errors.New("no file is in a machine: write NAME:PATH, as in web:notes.txt")
	}
	return *machine, nil
}

func (s *session) scpCommand() *cobra.Command {
	var port uint16
	var timeout time.Duration
	var recursive bool
	command := &cobra.Command{
		Use:     "scp FILE... [USER@]NAME:PATH | [USER@]NAME:FILE... PATH",
		Short:   "Copy files to or from a machine with the local scp",
		Example: "  kubectl vs scp notes.txt web:\n  kubectl vs scp -r ann@web:/var/log/nginx logs",
		Args:    cobra.MinimumNArgs(2),
	}
	command.Flags().Uint16Var(&port, "port", 22, "the port that ssh listens on in the machine")
	command.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait for a machine that is starting, and for ssh in it")
	command.Flags().BoolVarP(&recursive, "recursive", "r", false, "copy folders with what is in them")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		machine, err := machineOfCopy(arguments)
		if err != nil {
			return err
		}
		if err := firstIsName(command, []string{machine.name}); err != nil {
			return err
		}
		scp, err := exec.LookPath("scp")
		if err != nil {
			return fmt.Errorf("the local scp is needed: %w", err)
		}
		target, err := s.sshTarget(command.Context(), machine.user, machine.name, port, timeout)
		if err != nil {
			return err
		}
		return s.runChild(command.Context(), "", scp, target.copyArguments(recursive, arguments)...)
	}
	return command
}

// copyArguments are scp's own.
func (t *sshTarget) copyArguments(recursive bool, files []string) []string {
	arguments := t.way()
	if t.user != "" {
		arguments = append(arguments, "-o", "User="+t.user)
	}
	arguments = append(arguments, t.defaults()...)
	if recursive {
		arguments = append(arguments, "-r")
	}
	arguments = append(arguments, "--")
	for _, word := range files {
		if remote, ok := parseRemote(word); ok {
			word = t.host() + ":" + remote.path
		}
		arguments = append(arguments, word)
	}
	return arguments
}
