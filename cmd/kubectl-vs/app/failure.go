package app

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Failure is what a command that failed says, in kubectl's words, and the exit code of the process. The text is empty if a program
// that the command ran has said what was wrong. It must not be called concurrently: kubectl's package has one way out only.
func Failure(err error) (text string, code int) {
	var child *exec.ExitError
	if errors.As(err, &child) {
		// ssh, scp and virtctl: their exit code is ours. After a signal it is as in a shell.
		if status, ok := child.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return "", 128 + int(status.Signal())
		}
		return "", child.ExitCode()
	}
	cmdutil.BehaviorOnFatal(func(message string, exit int) { text, code = message, exit })
	defer cmdutil.DefaultBehaviorOnFatal()
	cmdutil.CheckErr(plainError(err))
	return strings.TrimRight(text, "\n"), code
}

// plainError is an error without anything that a terminal would obey.
func plainError(err error) error {
	refused, ok := err.(*apierrors.StatusError)
	if !ok {
		var lines []string
		for line := range strings.Lines(err.Error()) {
			lines = append(lines, plain(strings.TrimRight(line, "\n")))
		}
		if safe := strings.Join(lines, "\n"); safe != err.Error() {
			return errors.New(safe)
		}
		return err
	}
	safe := &apierrors.StatusError{ErrStatus: *refused.ErrStatus.DeepCopy()}
	safe.ErrStatus.Message = plain(safe.ErrStatus.Message)
	if details := safe.ErrStatus.Details; details != nil {
		for i := range details.Causes {
			details.Causes[i].Message = plain(details.Causes[i].Message)
		}
	}
	return safe
}

// inWords wraps what a command does, so that its errors are those of a command line: with the namespace that was looked into, and
// with flags instead of the options of the API.
func (s *session) inWords(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, arguments []string) error { return s.words(run(command, arguments)) }
}

// words are an error in the words of a command line.
func (s *session) words(err error) error {
	var refused *apierrors.StatusError
	if !errors.As(err, &refused) {
		return err
	}
	if err.Error() != refused.Error() {
		return err // It is part of a sentence of our own.
	}
	namespace, unknown := s.namespace()
	if unknown != nil {
		return err
	}
	return forPeople(refused, namespace)
}

// forPeople completes the message of an answer of the server.
func forPeople(refused *apierrors.StatusError, namespace string) error {
	told := &apierrors.StatusError{ErrStatus: *refused.ErrStatus.DeepCopy()}
	status := &told.ErrStatus
	switch {
	case status.Reason == metav1.StatusReasonNotFound && apierrors.HasStatusCause(told, metav1.CauseTypeUnexpectedServerResponse):
		return &meta.NoResourceMatchError{PartialResource: v1beta1.SchemeGroupVersion.WithResource("virtualservers")}
	case status.Reason == metav1.StatusReasonNotFound && isVirtualServer(status.Details):
		status.Message += fmt.Sprintf(" in namespace %q", namespace)
	case apierrors.HasStatusCause(told, v1beta1.CauseSessionHeld):
		status.Message += "; --take-over ends that session"
	}
	return told
}

func isVirtualServer(details *metav1.StatusDetails) bool {
	return details != nil && details.Group == v1beta1.GroupName && details.Kind == "virtualservers"
}
