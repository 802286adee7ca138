package app

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// virtPrefix is where the extension server answers in the way of KubeVirt, by the VirtualServer's own name.
const virtPrefix = "/apis/" + v1beta1.GroupName + "/v1beta1/kubevirt"

// overlayContext names the cluster, the context and, if flags change it, the user in the kubeconfig that virtctl and ssh get.
const overlayContext = "kubectl-vs-connection"

// served are virtctl's commands that work through the prefix (docs/streams.md), with what they do.
func served() [][2]string {
	return [][2]string{
		{"addvolume", "add a volume to the running machine"},
		{"console", "connect to the serial console"},
		{"fslist", "list the filesystems that the guest agent reports"},
		{"guestosinfo", "show the operating system that the guest agent reports"},
		{"memory-dump", "dump the memory to a claim: get or remove; the claim must exist"},
		{"migrate", "move the machine to another node"},
		{"pause", "freeze the guest: pause vm NAME"},
		{"port-forward", "forward local ports: port-forward vm/NAME [LOCAL:]REMOTE"},
		{"removevolume", "remove a volume that was added"},
		{"reset", "reset the guest, as the button does"},
		{"restart", "restart the machine"},
		{"scp", "copy files: scp FILE USER@vm/NAME:PATH"},
		{"soft-reboot", "ask the guest to reboot"},
		{"ssh", "log in: ssh USER@vm/NAME"},
		{"start", "start the machine"},
		{"stop", "stop the machine"},
		{"unpause", "let a paused guest go on: unpause vm NAME"},
		{"usbredir", "lend a local USB device to the machine"},
		{"userlist", "list the users that the guest agent reports"},
		{"version", "show the versions of virtctl and KubeVirt"},
		{"vnc", "show the screen; vnc screenshot NAME saves a picture"},
	}
}

func (s *session) virtCommand() *cobra.Command {
	long := &strings.Builder{}
	long.WriteString("Run a command of virtctl (kubectl virt) on a VirtualServer, by its own name. The flags for the connection\n" +
		"must stand before the word virt. These commands work:\n\n")
	for _, command := range served() {
		fmt.Fprintf(long, "  %-14s %s\n", command[0], command[1])
	}
	long.WriteString("\nThe others of virtctl are not about one machine, or are not served by the name of a VirtualServer. Their flags:\n" +
		"kubectl vs virt COMMAND --help.")
	return &cobra.Command{
		Use:   "virt COMMAND ARGUMENTS",
		Short: "Run a command of virtctl on a VirtualServer, by its own name",
		Long:  long.String(),
		Example: "  kubectl vs virt guestosinfo my-vs\n  kubectl vs -n team virt pause vm my-vs\n  kubectl vs virt ssh root@vm/my-vs\n" +
			"  kubectl vs virt scp notes.txt root@vm/my-vs:/root/",
		// Everything after the word virt is virtctl's.
		DisableFlagParsing: true,
		ValidArgsFunction:  s.completeVirt,
		RunE: func(command *cobra.Command, arguments []string) error {
			if asksForHelp(arguments) {
				return command.Help()
			}
			if err := refuseCommand(arguments[0]); err != nil {
				return err
			}
			if err := refuseConnection(arguments); err != nil {
				return err
			}
			program, err := findVirtctl()
			if err != nil {
				return err
			}
			return s.runChild(command.Context(), virtPrefix, program, arguments...)
		},
	}
}

// asksForHelp says whether the arguments ask for the list of commands. virtctl's own has many that do not work here.
func asksForHelp(arguments []string) bool {
	return len(arguments) == 0 || arguments[0] == "-h" || arguments[0] == "--help" || len(arguments) == 1 && arguments[0] == "help"
}

// refuseCommand refuses what virtctl knows and the prefix does not serve. A flag of virtctl's may stand first; it is virtctl's to read.
func refuseCommand(word string) error {
	if strings.HasPrefix(word, "-") || word == "help" {
		return nil
	}
	if slices.ContainsFunc(served(), func(command [2]string) bool { return command[0] == word }) {
		return nil
	}
	return fmt.Errorf("%q does not work by the name of a VirtualServer; kubectl vs virt --help lists what does", word)
}

// completeVirt completes a command of virtctl, and the name behind it in the form that the command wants.
func (s *session) completeVirt(command *cobra.Command, arguments []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(arguments) == 0 {
		var found []string
		for _, known := range served() {
			if strings.HasPrefix(known[0], prefix) {
				found = append(found, known[0]+"\t"+known[1])
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
	switch arguments[0] {
	case "pause", "unpause":
		if len(arguments) == 1 {
			return []string{"vm"}, cobra.ShellCompDirectiveNoFileComp
		}
	case "ssh", "scp", "port-forward":
		user, name := "", prefix
		if at := strings.LastIndex(prefix, "@"); at >= 0 {
			user, name = prefix[:at+1], prefix[at+1:]
		}
		names, directive := s.completeName(command, nil, strings.TrimPrefix(name, "vm/"))
		for i := range names {
			names[i] = user + "vm/" + names[i]
		}
		if arguments[0] == "scp" {
			directive = cobra.ShellCompDirectiveDefault // A local file is as good.
		}
		return names, directive
	}
	return s.completeName(command, nil, prefix)
}

// refuseConnection refuses the flags that choose a server after the word virt. virtctl would obey them, and would go to KubeVirt
// by the name of a VirtualServer: at best to nothing, at worst to the machine of somebody else. The other flags only change who
// asks, and some of them mean something else to some commands of virtctl.
func refuseConnection(arguments []string) error {
	for _, argument := range arguments {
		if argument == "--" {
			return nil
		}
		flag, _, _ := strings.Cut(argument, "=")
		if !strings.HasPrefix(flag, "--") && strings.HasPrefix(flag, "-s") {
			flag = "-s"
		}
		switch flag {
		case "--kubeconfig", "--context", "--cluster", "--server", "-s":
			return fmt.Errorf("%s must stand before the word virt: kubectl vs %s ... virt ...", flag, flag)
		}
	}
	return nil
}

// overlay is a kubeconfig that is put before the user's own. Flags would not do: virtctl ssh and scp run virtctl once more
// without them. The user's credentials stay where they are unless a flag changes them. The prefix is put after the server.
func (s *session) overlay(prefix string) (*clientcmdapi.Config, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	loader := s.flags.ToRawKubeConfigLoader()
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, err
	}
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, err
	}
	return overlay(config, &raw, namespace, choice{
		prefix:  prefix,
		context: text(s.flags.Context), cluster: text(s.flags.ClusterName), user: text(s.flags.AuthInfoName),
		changesUser: given(s.flags.BearerToken, s.flags.CertFile, s.flags.KeyFile, s.flags.Username, s.flags.Password,
			s.flags.Impersonate, s.flags.ImpersonateUID) || givenList(s.flags.ImpersonateGroup, s.flags.ImpersonateUserExtra),
	}), nil
}

// choice is what the flags chose in a kubeconfig.
type choice struct {
	context, cluster, user string
	// prefix is what stands after the server.
	prefix string
	// changesUser is true if flags change the credentials themselves.
	changesUser bool
}

// overlay makes the kubeconfig from the connection that flags and files lead to.
func overlay(config *rest.Config, raw *clientcmdapi.Config, namespace string, chosen choice) *clientcmdapi.Config {
	if chosen.context == "" {
		chosen.context = raw.CurrentContext
	}
	context := &clientcmdapi.Context{}
	if found := raw.Contexts[chosen.context]; found != nil {
		context = found.DeepCopy()
	}
	if chosen.cluster == "" {
		chosen.cluster = context.Cluster
	}
	if chosen.user == "" {
		chosen.user = context.AuthInfo
	}
	cluster := &clientcmdapi.Cluster{}
	if found := raw.Clusters[chosen.cluster]; found != nil {
		cluster = found.DeepCopy()
	}
	cluster.Server = strings.TrimSuffix(config.Host, "/") + chosen.prefix
	cluster.TLSServerName, cluster.InsecureSkipTLSVerify = config.ServerName, config.Insecure
	cluster.CertificateAuthority, cluster.CertificateAuthorityData = absolute(config.CAFile), config.CAData

	made := clientcmdapi.NewConfig()
	made.Clusters[overlayContext] = cluster
	made.CurrentContext = overlayContext
	made.Contexts[overlayContext] = &clientcmdapi.Context{Cluster: overlayContext, AuthInfo: chosen.user, Namespace: namespace}
	// In a pod there is no kubeconfig, and the token is that of the ServiceAccount.
	if chosen.changesUser || raw.AuthInfos[chosen.user] == nil {
		made.Contexts[overlayContext].AuthInfo = overlayContext
		made.AuthInfos[overlayContext] = &clientcmdapi.AuthInfo{
			Token: config.BearerToken, TokenFile: config.BearerTokenFile, Username: config.Username, Password: config.Password,
			ClientCertificate: absolute(config.CertFile), ClientCertificateData: config.CertData,
			ClientKey: absolute(config.KeyFile), ClientKeyData: config.KeyData,
			Impersonate: config.Impersonate.UserName, ImpersonateUID: config.Impersonate.UID, ImpersonateGroups: config.Impersonate.Groups,
			ImpersonateUserExtra: config.Impersonate.Extra, Exec: config.ExecProvider, AuthProvider: config.AuthProvider,
		}
	}
	return made
}

// absolute keeps a path that a flag gave valid in a file of another folder.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

// kubeconfigs are the user's own files, as kubectl would read them.
func (s *session) kubeconfigs() []string {
	if file := text(s.flags.KubeConfig); file != "" {
		return []string{file}
	}
	return s.flags.ToRawKubeConfigLoader().ConfigAccess().GetLoadingPrecedence()
}

func text(flag *string) string {
	if flag == nil {
		return ""
	}
	return *flag
}

func given(flags ...*string) bool {
	for _, flag := range flags {
		if text(flag) != "" {
			return true
		}
	}
	return false
}

func givenList(flags ...*[]string) bool {
	return slices.ContainsFunc(flags, func(flag *[]string) bool { return flag != nil && len(*flag) > 0 })
}

func findVirtctl() (string, error) {
	for _, name := range []string{"virtctl", "kubectl-virt"} {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", fmt.Errorf("virtctl is needed: install it with 'kubectl krew install virt': %w", exec.ErrNotFound)
}
