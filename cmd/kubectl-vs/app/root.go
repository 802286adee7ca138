// Package app holds the commands of "kubectl vs", one file each.
package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"
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
	// given are the flags of the connection, to be repeated in commands that the user may type next.
	given *pflag.FlagSet
	// warnings prints what servers warn of, once for all clients of the command.
	warnings rest.WarningHandler
}

func newSession(streams genericiooptions.IOStreams) *session {
	s := &session{
		IOStreams: streams, flags: genericclioptions.NewConfigFlags(true), given: pflag.NewFlagSet("kubectl vs", pflag.ContinueOnError),
		warnings: rest.NewWarningWriter(streams.ErrOut, rest.WarningWriterOptions{Deduplicate: true, Color: printers.AllowsColorOutput(streams.ErrOut)}),
	}
	s.flags.AddFlags(s.given)
	return s
}

// NewCommand builds "kubectl vs" with all its commands.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	s := newSession(streams)
	root := &cobra.Command{
		Use:           "kubectl-vs",
		Short:         "Operate VirtualServers by name",
		Long:          "Operate VirtualServers: one Kubernetes object, one virtual machine.",
		Example:       "  kubectl vs create web --image debian:13 --cores 2 --memory 4Gi\n  kubectl vs ssh web\n  kubectl vs stop web --wait\n  kubectl vs why web",
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
	root.PersistentFlags().AddFlagSet(s.given)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	for _, group := range s.commandGroups() {
		root.AddGroup(&cobra.Group{ID: group.title, Title: group.title + ":"})
		for _, command := range group.commands {
			command.GroupID = group.title
			root.AddCommand(command)
		}
	}
	for _, command := range root.Commands() {
		command.RunE = s.inWords(command.RunE)
	}
	return root
}

// commandGroup are commands that the help shows together.
type commandGroup struct {
	title    string
	commands []*cobra.Command
}

func (s *session) commandGroups() []commandGroup {
	return []commandGroup{
		{"Make and change machines", []*cobra.Command{
			s.createCommand(), s.imagesCommand(), s.resizeCommand(), s.editCommand(), s.deleteCommand(),
		}},
		{"Operate them", []*cobra.Command{
			s.startCommand(), s.stopCommand(), s.restartCommand(), s.pauseCommand(), s.unpauseCommand(),
		}},
		{"Connect to one", []*cobra.Command{
			s.sshCommand(), s.scpCommand(), s.consoleCommand(), s.vncCommand(), s.portForwardCommand(), s.virtCommand(),
		}},
		{"Look at them", []*cobra.Command{
			s.getCommand(), s.describeCommand(), s.statusCommand(), s.whyCommand(), s.eventsCommand(), s.logsCommand(),
		}},
		{"For administrators, and on the plugin itself", []*cobra.Command{
			s.heldCommand(), s.backupCommand(), s.restoreCommand(), s.supportBundleCommand(), s.versionCommand(),
		}},
	}
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
	config.UserAgent, config.WarningHandler = "kubectl-vs", s.warnings
	return config, nil
}

func (s *session) namespace() (string, error) {
	namespace, _, err := s.flags.ToRawKubeConfigLoader().Namespace()
	return namespace, err
}

// client reaches the VirtualServers of the chosen namespace.
func (s *session) client() (clientv1beta1.VirtualServerInterface, error) {
	namespace, err := s.namespace()
	if err != nil {
		return nil, err
	}
	group, err := s.group()
	if err != nil {
		return nil, err
	}
	return group.VirtualServers(namespace), nil
}

// group reaches the API group.
func (s *session) group() (clientv1beta1.TensorstackV1beta1Interface, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	clientset, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return clientset.TensorstackV1beta1(), nil
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

// again is a command of "kubectl vs" as the user has to type it to reach the same machine: with the flags of this command that chose
// the cluster, the namespace and who asks. Credentials are not repeated.
func (s *session) again(words ...string) string {
	words = append([]string{"kubectl", "vs"}, words...)
	for _, name := range []string{"kubeconfig", "context", "cluster", "user", "server", "namespace", "as", "as-uid", "as-group"} {
		flag := s.given.Lookup(name)
		if flag == nil || !flag.Changed {
			continue
		}
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			if name == "namespace" {
				words = append(words, "-n", inShell(value))
			} else {
				words = append(words, "--"+name+"="+inShell(value))
			}
		}
	}
	return strings.Join(words, " ")
}

// inShell quotes a word where a shell would read something else in it.
func inShell(word string) string {
	special := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+,=", r))
	}
	if word != "" && !strings.ContainsFunc(word, special) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// named makes a command that takes the name of one VirtualServer.
func (s *session) named(command *cobra.Command) *cobra.Command {
	command.Args = cobra.MatchAll(cobra.ExactArgs(1), firstIsName)
	command.ValidArgsFunction = s.completeName
	return command
}

// namedOrAll makes a command that takes the name of one VirtualServer, or none for all.
func (s *session) namedOrAll(command *cobra.Command) *cobra.Command {
	command.Args = cobra.MatchAll(cobra.MaximumNArgs(1), firstIsName)
	command.ValidArgsFunction = s.completeName
	return command
}

// firstIsName refuses a name that would lead to another path of the API.
func firstIsName(_ *cobra.Command, arguments []string) error {
	if len(arguments) == 0 {
		return nil
	}
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
