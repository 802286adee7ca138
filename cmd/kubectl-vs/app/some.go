package app

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// some are the machines that a command is about: by their names, by a label, or all of a namespace.
type some struct {
	selector string
	all      bool
}

// flags makes a command that takes names, a selector or --all, as kubectl delete does.
func (m *some) flags(s *session, command *cobra.Command) {
	command.Flags().StringVarP(&m.selector, "selector", "l", "", "the machines with these labels, such as team=blue")
	command.Flags().BoolVar(&m.all, "all", false, "all machines of the namespace")
	command.ValidArgsFunction = s.completeNames
	command.Args = func(command *cobra.Command, arguments []string) error {
		ways := 0
		for _, given := range []bool{len(arguments) > 0, m.selector != "", m.all} {
			if given {
				ways++
			}
		}
		if ways != 1 {
			return errors.New("name the machines, or choose them by --selector or --all: one of the three")
		}
		for _, name := range arguments {
			if err := firstIsName(command, []string{name}); err != nil {
				return err
			}
		}
		return nil
	}
}

// names are the machines' names, each once.
func (m *some) names(ctx context.Context, s *session, arguments []string) ([]string, error) {
	if len(arguments) > 0 {
		var names []string
		for _, name := range arguments {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		return names, nil
	}
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	list, err := client.List(ctx, metav1.ListOptions{LabelSelector: m.selector})
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names, nil
}

// forEach does something for each machine. What fails with one is said at once, and the others go on.
func (s *session) forEach(names []string, do func(name string) error) error {
	if len(names) == 1 {
		return do(names[0])
	}
	failed := 0
	for _, name := range names {
		err := do(name)
		if err == nil {
			continue
		}
		if text, _ := Failure(s.words(err)); text != "" {
			fmt.Fprintf(s.ErrOut, "%s: %s\n", name, text)
		}
		failed++
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d machines: not done", failed, len(names))
	}
	return nil
}
