// Package login decides what a new machine needs so that its user can log in: the public keys, the user, the password.
package login

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	// The hash of passwords in /etc/shadow, which no package of golang.org/x/crypto has.
	"github.com/GehirnInc/crypt/sha512_crypt"
	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/naming"
)

const (
	// LabelMadeFor is on the Secrets that are made with a machine, with its name. They have no owner in
	// the sense of garbage collection: if the store of VirtualServers were lost, machines that run would lose them.
	LabelMadeFor = v1beta1.GroupName + "/made-for"
	// keysKey and userDataKey are the keys of the Secrets. KubeVirt reads the second.
	keysKey     = "authorized_keys"
	userDataKey = "userdata"
	// maxSecretName is how long the name of a Secret of keys may be, see v1beta1.SSHKeys.
	maxSecretName = 51
)

// Access is how the user of a machine is to log in.
type Access struct {
	// Keys are public keys, each a line of an authorized_keys file.
	Keys []string
	// User is the user to log in as; empty for the image's own.
	User string
	// ImageUser is the user that the image has, or empty if that is not known.
	ImageUser string
	// PasswordHash is for /etc/shadow; empty for no password.
	PasswordHash string
}

// PublicKeys reads the content of a file of public keys. name is the file's, for the error.
func PublicKeys(name string, content []byte) ([]string, error) {
	if bytes.Contains(content, []byte("PRIVATE KEY-----")) {
		return nil, fmt.Errorf("%s is a private key, which stays with you: name the file of the public one, %s.pub", name, name)
	}
	var keys []string
	lines := bufio.NewScanner(bytes.NewReader(content))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err != nil {
			return nil, fmt.Errorf("%s, line %d is no public key", name, number)
		}
		keys = append(keys, line)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s has no public key", name)
	}
	return keys, nil
}

// userName is what useradd takes.
var userName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

// CheckUser refuses the name of a user that Linux would refuse.
func CheckUser(name string) error {
	if !userName.MatchString(name) {
		return fmt.Errorf("%q is no name of a user: at most 32 lower-case letters, digits, dashes and underscores, a letter first", name)
	}
	return nil
}

// HashPassword hashes a password as it stands in /etc/shadow, so that nobody reads it in the Secret.
func HashPassword(password string) (string, error) {
	if password == "" {
		return "", errors.New("the password is empty")
	}
	if strings.ContainsAny(password, "\x00\r\n") {
		return "", errors.New("the password has more than one line")
	}
	return sha512_crypt.New().Generate([]byte(password), nil)
}

// userData is what cloud-init is told, or nothing: it gives the keys to the image's user by itself.
func (a Access) userData() (string, error) {
	config := map[string]any{}
	if a.User != "" && a.User != a.ImageUser {
		config["user"] = a.User
	}
	if a.PasswordHash != "" {
		config["password"] = a.PasswordHash
		config["chpasswd"] = map[string]any{"expire": false}
	}
	if len(config) == 0 {
		return "", nil
	}
	text, err := yaml.Marshal(config)
	return "#cloud-config\n" + string(text), err
}

// Apply gives the machine what it needs and returns the Secrets to make before it. A machine that has cloud-init of its own keeps
// it.
func (a Access) Apply(vs *v1beta1.VirtualServer) ([]*corev1.Secret, error) {
	var secrets []*corev1.Secret
	secret := func(suffix, key, text string) corev1.LocalObjectReference {
		made := &corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Name: secretName(vs.Name, suffix), Namespace: vs.Namespace, Labels: map[string]string{LabelMadeFor: naming.LabelValue(vs.Name)}},
			Type:       corev1.SecretTypeOpaque, StringData: map[string]string{key: text},
		}
		secrets = append(secrets, made)
		return corev1.LocalObjectReference{Name: made.Name}
	}
	if user := a.LoginUser(); user != "" {
		metav1.SetMetaDataAnnotation(&vs.ObjectMeta, v1beta1.AnnotationLoginUser, user)
	}
	if len(a.Keys) > 0 {
		vs.Spec.SSHKeys = &v1beta1.SSHKeys{SecretRef: secret("ssh-keys", keysKey, strings.Join(a.Keys, "\n")+"\n")}
	}
	data, err := a.userData()
	switch {
	case err != nil || data == "":
		return secrets, err
	case a.PasswordHash == "":
		vs.Spec.CloudInit = data
	default:
		reference := secret("cloud-init", userDataKey, data)
		vs.Spec.CloudInitSecretRef = &reference
	}
	return secrets, nil
}

// LoginUser is who logs in, or empty if that is not known.
func (a Access) LoginUser() string {
	if a.User != "" {
		return a.User
	}
	return a.ImageUser
}

// secretName is the name of a Secret of a machine. One that is too long, or has dots, is cut and made its own by a checksum.
func secretName(machine, suffix string) string {
	name := machine + "-" + suffix
	if len(name) <= maxSecretName && !strings.Contains(name, ".") {
		return name
	}
	sum := sha256.Sum256([]byte(machine))
	tail := "-" + hex.EncodeToString(sum[:])[:8] + "-" + suffix
	head := strings.ReplaceAll(machine, ".", "-")
	return strings.TrimRight(head[:min(len(head), maxSecretName-len(tail))], "-") + tail
}
