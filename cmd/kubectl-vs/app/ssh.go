package app

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tensorstack.dev/virtualserver/cmd/kubectl-vs/login"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// sshTarget is what ssh is to connect to.
type sshTarget struct {
	user, namespace, name string
	// key is the name under which ssh remembers the machine's key.
	key string
	// knownHosts is the file in which it does so.
	knownHosts string
	// proxy is the command that carries ssh's bytes to the machine.
	proxy []string
}

func (s *session) sshCommand() *cobra.Command {
	var port uint16
	var timeout time.Duration
	command := &cobra.Command{
		Use:               "ssh [USER@]NAME [-- SSH-ARGUMENTS]",
		Short:             "Log in to a machine with the local ssh",
		Example:           "  kubectl vs ssh ubuntu@my-vs\n  kubectl vs ssh ubuntu@my-vs -- -i ~/.ssh/id_ed25519 uptime",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: s.completeLogin,
	}
	command.Flags().Uint16Var(&port, "port", 22, "the port that ssh listens on in the machine")
	command.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait for a machine that is starting, and for ssh in it")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		user, name, named := strings.Cut(arguments[0], "@")
		if !named {
			user, name = "", arguments[0]
		}
		if err := firstIsName(command, []string{name}); err != nil {
			return err
		}
		return s.ssh(command.Context(), user, name, port, timeout, arguments[1:])
	}
	return command
}

// ssh runs the local ssh when the machine can be reached. What is wrong before is said here, in one line: ssh would only say that
// its proxy ended.
func (s *session) ssh(ctx context.Context, user, name string, port uint16, timeout time.Duration, more []string) error {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		return fmt.Errorf("the local ssh is needed: %w", err)
	}
	target, err := s.sshTarget(ctx, user, name, port, timeout)
	if err != nil {
		return err
	}
	return s.runChild(ctx, "", ssh, target.arguments(more)...)
}

// sshTarget waits until the machine can be reached, and says how. ssh itself runs this program again, which carries its bytes to the
// machine.
func (s *session) sshTarget(ctx context.Context, user, name string, port uint16, timeout time.Duration) (*sshTarget, error) {
	if _, err := s.get(ctx, name); err != nil {
		return nil, err
	}
	connection, err := s.openWhenUp(ctx, opening{name: name, path: portPath(port), timeout: timeout, forPort: true})
	if err != nil {
		return nil, err
	}
	if err := connection.Close(); err != nil {
		return nil, err
	}
	// Only now it is known which run of the machine it is.
	vs, err := s.get(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.targetOf(vs, user, port)
}

// targetOf says how ssh reaches a machine.
func (s *session) targetOf(vs *v1beta1.VirtualServer, user string, port uint16) (*sshTarget, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	knownHosts, err := knownHosts()
	if err != nil {
		return nil, err
	}
	// That program connects by the kubeconfig that ssh gets.
	proxy := []string{self}
	if timeout := text(s.flags.Timeout); timeout != "" && timeout != "0" {
		proxy = append(proxy, "--request-timeout", timeout) // A kubeconfig has no room for it.
	}
	if user == "" {
		user = loginUser(vs)
	}
	target := &sshTarget{user: user, namespace: vs.Namespace, name: vs.Name, key: hostKeyAlias(vs), knownHosts: knownHosts}
	target.proxy = append(proxy, "port-forward", "--stdio", "--namespace", vs.Namespace, vs.Name, fmt.Sprint(port))
	return target, nil
}

// loginUser is the user to log in as if none is named: the one that the machine was made for. Empty leaves it to ssh.
func loginUser(vs *v1beta1.VirtualServer) string {
	if user := vs.Annotations[v1beta1.AnnotationLoginUser]; login.CheckUser(user) == nil {
		return user
	}
	if keys := vs.Spec.SSHKeys; keys != nil && len(keys.Users) > 0 {
		return keys.Users[0]
	}
	return ""
}

// hostKeyAlias is the name under which ssh remembers the key of a machine. Another machine of the same name is another one. A root
// disk that is lost at every stop has a new key in every run.
func hostKeyAlias(vs *v1beta1.VirtualServer) string {
	uid := vs.UID
	if vs.Spec.Storage.Root.Ephemeral {
		uid = vs.Status.VM.InstanceUID
	}
	return strings.Join([]string{"vs", vs.Name, vs.Namespace, string(uid)}, ".")
}

// knownHosts is the file with the keys of machines. It is not ssh's own: nobody else connects to these names.
func knownHosts() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(home, ".ssh")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	return filepath.Join(folder, "kubectl-vs_known_hosts"), nil
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

// arguments are ssh's own. Of several values for an option ssh takes the first, so the user's stand before the defaults. A key that
// is new is accepted: the way to the machine is that of the cluster's API, and ends at the machine that has this UID.
func (t *sshTarget) arguments(more []string) []string {
	arguments := t.way()
	if t.user != "" {
		arguments = append(arguments, "-l", t.user)
	}
	options, remote := splitSSH(more)
	arguments = append(arguments, options...)
	arguments = append(arguments, t.defaults()...)
	return append(append(arguments, t.host()), remote...)
}

// way are the options that lead to the machine.
func (t *sshTarget) way() []string {
	quoted := make([]string, len(t.proxy))
	for i, word := range t.proxy {
		quoted[i] = "'" + strings.ReplaceAll(strings.ReplaceAll(word, "%", "%%"), "'", `'\''`) + "'"
	}
	return []string{"-o", "ProxyCommand=" + strings.Join(quoted, " "), "-o", "HostKeyAlias=" + t.key}
}

// defaults are options that the user's own may replace.
func (t *sshTarget) defaults() []string {
	return []string{
		"-o", `UserKnownHostsFile="` + strings.ReplaceAll(filepath.ToSlash(t.knownHosts), "%", "%%") + `"`,
		"-o", "StrictHostKeyChecking=accept-new", "-o", "LogLevel=ERROR",
	}
}

// host is what ssh is told to connect to; its proxy does not look at it.
func (t *sshTarget) host() string { return "vs." + t.name + "." + t.namespace }

// splitSSH tells the options of ssh from the command for the machine.
func splitSSH(more []string) (options, remote []string) {
	for i, word := range more {
		if !strings.HasPrefix(word, "-") && (i == 0 || !takesValue(more[i-1])) {
			return options, more[i:]
		}
		options = append(options, word)
	}
	return options, nil
}

// takesValue says whether an option of ssh is followed by its value (ssh(1)).
func takesValue(option string) bool {
	return len(option) == 2 && strings.Contains("BbcDEeFIiJLlmOoPpQRSWw", option[1:])
}
