package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"tensorstack.dev/virtualserver/cmd/kubectl-vs/login"
)

// noKeys is the value of --ssh-key for a machine without keys.
const noKeys = "none"

// loginFlags are how the user of the new machine is to log in.
type loginFlags struct {
	keys     []string
	user     string
	password bool
}

func (l *loginFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&l.keys, "ssh-key", nil, `file of public keys that may log in, can be repeated; your own in ~/.ssh if it is not given, "none" for none`)
	flags.StringVar(&l.user, "user", "", "user to log in as, which cloud-init makes; the image's own if empty")
	flags.BoolVar(&l.password, "password-stdin", false, "read the user's password for the console from standard input")
}

// access reads what the flags name. own says that the machine has cloud-init of the user's own, which nothing is added to.
func (l *loginFlags) access(in io.Reader, own bool) (login.Access, error) {
	access := login.Access{User: l.user}
	if own && (l.user != "" || l.password) {
		return access, errors.New("--user and --password-stdin write cloud-init data, and --cloud-init has its own: put them there")
	}
	if l.user != "" {
		if err := login.CheckUser(l.user); err != nil {
			return access, fmt.Errorf("--user: %w", err)
		}
	}
	var err error
	if access.Keys, err = l.publicKeys(); err != nil {
		return access, fmt.Errorf("--ssh-key: %w", err)
	}
	if l.password {
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return access, err
		}
		if access.PasswordHash, err = login.HashPassword(strings.TrimRight(line, "\r\n")); err != nil {
			return access, fmt.Errorf("--password-stdin: %w", err)
		}
	}
	return access, nil
}

func (l *loginFlags) publicKeys() ([]string, error) {
	files := l.keys
	switch {
	case slices.Contains(files, noKeys):
		if len(files) > 1 {
			return nil, errors.New("none or files, not both")
		}
		return nil, nil
	case len(files) == 0:
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, nil // Somebody without a home has no keys.
		}
		if files, err = filepath.Glob(filepath.Join(home, ".ssh", "id_*.pub")); err != nil {
			return nil, err
		}
	}
	var keys []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		found, err := login.PublicKeys(file, content)
		if err != nil {
			return nil, err
		}
		keys = append(keys, found...)
	}
	return keys, nil
}

// makeSecrets makes the Secrets of a machine that is to be made. One that was made for an earlier machine of the name is replaced; any
// other is left alone. undo removes those that were not there before.
func makeSecrets(ctx context.Context, client kubernetes.Interface, namespace string, secrets []*corev1.Secret, dryRun []string) (undo func(context.Context), err error) {
	var made []*corev1.Secret
	undo = func(ctx context.Context) {
		for _, secret := range made {
			options := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(secret.UID))}
			_ = client.CoreV1().Secrets(namespace).Delete(ctx, secret.Name, options)
		}
	}
	for _, secret := range secrets {
		created, err := client.CoreV1().Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{FieldManager: "kubectl-vs", DryRun: dryRun})
		switch {
		case apierrors.IsAlreadyExists(err):
			err = replaceSecret(ctx, client, namespace, secret, dryRun)
		case err == nil && len(dryRun) == 0:
			made = append(made, created)
		}
		if err != nil {
			undo(ctx)
			return nil, err
		}
	}
	return undo, nil
}

// replaceSecret gives a Secret that an earlier machine of the name has left the content of the new one.
func replaceSecret(ctx context.Context, client kubernetes.Interface, namespace string, secret *corev1.Secret, dryRun []string) error {
	left, err := client.CoreV1().Secrets(namespace).Get(ctx, secret.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if left.Labels[login.LabelMadeFor] != secret.Labels[login.LabelMadeFor] {
		return fmt.Errorf("there is a Secret %s that was not made for a machine of this name: delete it, or choose another name", secret.Name)
	}
	left.Data, left.StringData = nil, secret.StringData
	_, err = client.CoreV1().Secrets(namespace).Update(ctx, left, metav1.UpdateOptions{FieldManager: "kubectl-vs", DryRun: dryRun})
	return err
}

// howToLogIn says what to type next.
func (s *session) howToLogIn(name string, access login.Access, own bool) string {
	switch {
	case len(access.Keys) > 0:
		return "Log in: " + s.again("ssh", name)
	case access.PasswordHash != "":
		return fmt.Sprintf("Log in as %s: %s", access.LoginUser(), s.again("console", name))
	case own:
		return "Log in as your cloud-init data says: " + s.again("console", name)
	default:
		return "Nobody can log in: there is no public key in ~/.ssh and no password. --ssh-key, --password-stdin or --cloud-init gives a way in."
	}
}
