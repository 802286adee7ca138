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

func (s *session) virtCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "virt VIRTCTL-ARGUMENTS",
		Short: "Run any command of virtctl on a VirtualServer, by its own name",
		Long: "Run any command of virtctl (kubectl virt) on a VirtualServer, by its own name. The flags for the connection\n" +
			"must stand before the word virt.",
		Example: "  kubectl vs virt guestosinfo my-vs\n  kubectl vs -n team virt pause vm my-vs\n  kubectl vs virt ssh root@vm/my-vs",
		// Everything after the word virt is virtctl's.
		DisableFlagParsing: true,
		RunE: func(command *cobra.Command, arguments []string) error {
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
