// Package app holds the commands of "kubectl vs", one file each.
package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/generated/clientset/versioned"
	clientv1beta1 "tensorstack.dev/virtualserver/pkg/generated/clientset/versioned/typed/tensorstack/v1beta1"
)

// session is what every command has: kubectl's own flags and the terminal.
type session struct {
	genericiooptions.IOStreams
	flags *genericclioptions.ConfigFlags
}

// NewCommand builds "kubectl vs" with all its commands.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	s := &session{IOStreams: streams, flags: genericclioptions.NewConfigFlags(true)}
	root := &cobra.Command{
		Use:           "kubectl-vs",
		Short:         "Operate VirtualServers by name",
		Long:          "Operate VirtualServers: one Kubernetes object, one virtual machine.",
		Example:       "  kubectl vs create my-vs --cores 2 --memory 4Gi\n  kubectl vs start my-vs --wait\n  kubectl vs console my-vs\n  kubectl vs why my-vs",
		SilenceUsage:  true,
		SilenceErrors: true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl vs"},
		// Without it, flags before the word virt would be handed to virtctl unparsed, because virt parses none.
		TraverseChildren: true,
		Args:             unknownCommand,
		RunE:             func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	s.flags.AddFlags(root.PersistentFlags())
	root.AddCommand(
		s.startCommand(), s.stopCommand(), s.restartCommand(), s.pauseCommand(), s.unpauseCommand(),
		s.consoleCommand(), s.vncCommand(), s.portForwardCommand(), s.sshCommand(),
		s.statusCommand(), s.whyCommand(), s.eventsCommand(), s.logsCommand(),
		s.createCommand(), s.virtCommand(), s.heldCommand(),
	)
	return root
}

// unknownCommand refuses what is no command. Cobra does so itself only without TraverseChildren.
func unknownCommand(root *cobra.Command, arguments []string) error {
	if len(arguments) == 0 {
		return nil
	}
	message := fmt.Sprintf("unknown command %q for %q", arguments[0], root.CommandPath())
	if near := root.SuggestionsFor(arguments[0]); len(near) > 0 {
		message += ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return errors.New(message)
}

// config is the connection that kubectl's flags and files describe.
func (s *session) config() (*rest.Config, error) {
	config, err := s.flags.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	config.UserAgent = "kubectl-vs"
	return config, nil
}

func (s *session) namespace() (string, error) {
	namespace, _, err := s.flags.ToRawKubeConfigLoader().Namespace()
	return namespace, err
}

// client reaches the VirtualServers of the chosen namespace.
func (s *session) client() (clientv1beta1.VirtualServerInterface, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	namespace, err := s.namespace()
	if err != nil {
		return nil, err
	}
	clientset, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return clientset.TensorstackV1beta1().VirtualServers(namespace), nil
}

// kube reaches the core resources of the cluster.
func (s *session) kube() (kubernetes.Interface, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

func (s *session) get(ctx context.Context, name string) (*v1beta1.VirtualServer, error) {
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	return client.Get(ctx, name, metav1.GetOptions{})
}

// completeName completes the name of a VirtualServer, once.
func (s *session) completeName(command *cobra.Command, arguments []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(arguments) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := s.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	list, err := client.List(command.Context(), metav1.ListOptions{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for i := range list.Items {
		if vs := &list.Items[i]; strings.HasPrefix(vs.Name, prefix) {
			names = append(names, fmt.Sprintf("%s\t%s", vs.Name, vs.Status.PrintableStatus))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// named makes a command that takes the name of one VirtualServer.
func (s *session) named(command *cobra.Command) *cobra.Command {
	command.Args = cobra.MatchAll(cobra.ExactArgs(1), firstIsName)
	command.ValidArgsFunction = s.completeName
	return command
}

// firstIsName refuses a name that would lead to another path of the API.
func firstIsName(_ *cobra.Command, arguments []string) error {
	if problems := content.IsPathSegmentName(arguments[0]); len(problems) > 0 || arguments[0] == "" {
		return fmt.Errorf("%q is not the name of a VirtualServer%s", arguments[0], strings.Join(append([]string{""}, problems...), ": "))
	}
	return nil
}

// resourcePath is the API path of a VirtualServer or of one of its subresources.
func resourcePath(namespace, name string, subresource ...string) string {
	return strings.Join(append([]string{
		"/apis", v1beta1.SchemeGroupVersion.Group, v1beta1.SchemeGroupVersion.Version,
		"namespaces", namespace, "virtualservers", name}, subresource...), "/")
}
