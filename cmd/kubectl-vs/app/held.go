package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/generated/clientset/versioned"
	clientv1beta1 "tensorstack.dev/virtualserver/pkg/generated/clientset/versioned/typed/tensorstack/v1beta1"
)

func (s *session) heldCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "held",
		Short: "List VirtualServers whose namespace is gone, and give them back (for administrators)",
		Long: "List VirtualServers whose namespace was deleted while the API of VirtualServers was away. They are not served and " +
			"nothing is done for them, also if there is another namespace of that name now, until they are given back or expire.",
		Example: "  kubectl vs held\n  kubectl vs held restore my-vs -n team\n  kubectl vs held restore --all -n team",
		Args:    unknownCommand,
		RunE: func(command *cobra.Command, _ []string) error {
			found, _, err := s.held(command.Context())
			if err != nil {
				return err
			}
			return writeHeld(s.Out, inNamespace(found, *s.flags.Namespace), time.Now())
		},
	}
	command.AddCommand(s.heldRestoreCommand(), s.heldDeleteCommand())
	return command
}

func (s *session) heldRestoreCommand() *cobra.Command {
	var all bool
	command := &cobra.Command{
		Use:   "restore NAME|UID | --all",
		Short: "Give a held VirtualServer back to the namespace that has the name now",
		Long: "Give a held VirtualServer back to the namespace that has the name now. Be sure that this is the same one, restored, or " +
			"belongs to the same people: the machine is made there again with its cloud-init, and adopts a disk that was restored. A " +
			"machine whose run strategy is Always starts.",
		Example: "  kubectl vs held restore my-vs -n team\n  kubectl vs held restore --all -n team",
		Args:    nameOrAll(&all),
		RunE: func(command *cobra.Command, arguments []string) error {
			return s.eachHeld(command.Context(), arguments, "restored", func(client rest.Interface, held *v1beta1.HeldVirtualServer) error {
				return client.Post().Resource("heldvirtualservers").Name(held.Name).SubResource("restore").Do(command.Context()).Error()
			})
		},
	}
	command.Flags().BoolVar(&all, "all", false, "give all of the namespace back")
	return command
}

func (s *session) heldDeleteCommand() *cobra.Command {
	var all bool
	command := &cobra.Command{
		Use:     "delete NAME|UID | --all",
		Short:   "Delete a held VirtualServer for good, before it expires",
		Example: "  kubectl vs held delete my-vs -n team",
		Args:    nameOrAll(&all),
		RunE: func(command *cobra.Command, arguments []string) error {
			return s.eachHeld(command.Context(), arguments, "deleted", func(client rest.Interface, held *v1beta1.HeldVirtualServer) error {
				return client.Delete().Resource("heldvirtualservers").Name(held.Name).Do(command.Context()).Error()
			})
		},
	}
	command.Flags().BoolVar(&all, "all", false, "delete all of the namespace")
	return command
}

func nameOrAll(all *bool) cobra.PositionalArgs {
	return func(command *cobra.Command, arguments []string) error {
		switch {
		case *all && len(arguments) > 0:
			return errors.New("a name and --all exclude each other")
		case *all:
			return nil
		case len(arguments) == 0:
			return errors.New("say which VirtualServer by its name or UID, or use --all")
		}
		return cobra.MatchAll(cobra.ExactArgs(1), firstIsName)(command, arguments)
	}
}

// held reads all held VirtualServers, oldest first.
func (s *session) held(ctx context.Context) ([]v1beta1.HeldVirtualServer, clientv1beta1.TensorstackV1beta1Interface, error) {
	config, err := s.config()
	if err != nil {
		return nil, nil, err
	}
	clientset, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	client := clientset.TensorstackV1beta1()
	list, err := client.HeldVirtualServers().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(list.Items, func(a, b v1beta1.HeldVirtualServer) int {
		return cmp.Or(strings.Compare(a.VirtualServer.Namespace, b.VirtualServer.Namespace),
			strings.Compare(a.VirtualServer.Name, b.VirtualServer.Name),
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time))
	})
	return list.Items, client, nil
}

// eachHeld does something with the held VirtualServers that the arguments mean in the namespace, and goes on after an error.
func (s *session) eachHeld(ctx context.Context, arguments []string, past string,
	do func(rest.Interface, *v1beta1.HeldVirtualServer) error) error {
	namespace, err := s.namespace()
	if err != nil {
		return err
	}
	all, client, err := s.held(ctx)
	if err != nil {
		return err
	}
	chosen, err := chooseHeld(inNamespace(all, namespace), namespace, arguments)
	if err != nil {
		return err
	}
	var failures []error
	for i := range chosen {
		held := &chosen[i]
		if err := do(client.RESTClient(), held); err != nil {
			failures = append(failures, err)
			continue
		}
		fmt.Fprintf(s.Out, "virtualserver.%s/%s %s in namespace %s\n", v1beta1.GroupName, held.VirtualServer.Name, past, namespace)
	}
	return errors.Join(failures...)
}

func inNamespace(all []v1beta1.HeldVirtualServer, namespace string) []v1beta1.HeldVirtualServer {
	if namespace == "" {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(held v1beta1.HeldVirtualServer) bool { return held.VirtualServer.Namespace != namespace })
}

// chooseHeld finds those that the arguments mean: all, or the one of that name or UID.
func chooseHeld(there []v1beta1.HeldVirtualServer, namespace string, arguments []string) ([]v1beta1.HeldVirtualServer, error) {
	if len(arguments) == 0 {
		if len(there) == 0 {
			return nil, fmt.Errorf("no VirtualServer of a namespace %s is held", namespace)
		}
		return there, nil
	}
	var found []v1beta1.HeldVirtualServer
	var uids []string
	for _, held := range there {
		if held.Name == arguments[0] {
			return []v1beta1.HeldVirtualServer{held}, nil
		}
		if held.VirtualServer.Name == arguments[0] {
			found, uids = append(found, held), append(uids, held.Name)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no VirtualServer %s of a namespace %s is held; \"kubectl vs held\" lists all", arguments[0], namespace)
	case 1:
		return found, nil
	}
	return nil, fmt.Errorf("%d VirtualServers %s of namespaces %s are held; choose one by its UID: %s", len(found), arguments[0], namespace,
		strings.Join(uids, ", "))
}

func writeHeld(out io.Writer, held []v1beta1.HeldVirtualServer, now time.Time) error {
	if len(held) == 0 {
		_, err := fmt.Fprintln(out, "No VirtualServer is held.")
		return err
	}
	table := printers.GetNewTabWriter(out)
	fmt.Fprintln(table, "NAMESPACE\tNAME\tREASON\tHELD FOR\tEXPIRES IN\tUID")
	for i := range held {
		one := &held[i]
		expires := "never"
		if one.ExpiresAt != nil {
			expires = duration.HumanDuration(one.ExpiresAt.Sub(now))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", one.VirtualServer.Namespace, one.VirtualServer.Name, one.Reason,
			duration.HumanDuration(now.Sub(one.CreationTimestamp.Time)), expires, one.Name)
	}
	return table.Flush()
}
