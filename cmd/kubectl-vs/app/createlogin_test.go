package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/cmd/kubectl-vs/login"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUXwX8UeE1uJpMCq3sZyQEFv9MBVg6ZAmPvmVZkbQeY"

// homeWithKeys is a home whose .ssh has the files.
func homeWithKeys(t *testing.T, files map[string]string) string {
	t.Helper()
	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, ".ssh"), 0o700))
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(home, ".ssh", name), []byte(content), 0o600))
	}
	t.Setenv("HOME", home)
	return home
}

// planned is what "create --dry-run=client -o yaml" prints, taken apart.
func planned(t *testing.T, arguments ...string) ([]corev1.Secret, *v1beta1.VirtualServer, error) {
	t.Helper()
	text, err := runAtHome(t, append([]string{"create", "web", "--dry-run=client", "-o", "yaml"}, arguments...)...)
	if err != nil {
		return nil, nil, err
	}
	var secrets []corev1.Secret
	vs := &v1beta1.VirtualServer{}
	for _, document := range strings.Split(text, "---\n") {
		if strings.Contains(document, "kind: Secret") {
			secrets = append(secrets, corev1.Secret{})
			require.NoError(t, yaml.Unmarshal([]byte(document), &secrets[len(secrets)-1]))
		} else {
			require.NoError(t, yaml.UnmarshalStrict([]byte(document), vs))
		}
	}
	return secrets, vs, nil
}

func TestCreateGivesTheMachineItsUsersKeys(t *testing.T) {
	home := homeWithKeys(t, map[string]string{"id_ed25519.pub": publicKey + " ann\n", "id_ed25519": "-----BEGIN OPENSSH PRIVATE KEY-----\n", "known_hosts.pub": "x"})
	secrets, vs, err := planned(t)
	require.NoError(t, err)
	require.Len(t, secrets, 1)
	assert.Equal(t, publicKey+" ann\n", secrets[0].StringData["authorized_keys"])
	assert.Equal(t, secrets[0].Name, vs.Spec.SSHKeys.SecretRef.Name)
	assert.Equal(t, "ubuntu", vs.Annotations[v1beta1.AnnotationLoginUser])

	secrets, vs, err = planned(t, "--ssh-key=none", "--image", "debian")
	require.NoError(t, err)
	assert.Empty(t, secrets)
	assert.Nil(t, vs.Spec.SSHKeys)
	assert.Equal(t, "debian", vs.Annotations[v1beta1.AnnotationLoginUser])

	secrets, vs, err = planned(t, "--user", "ann", "--image", "https://example.com/x.img")
	require.NoError(t, err)
	require.Len(t, secrets, 1)
	assert.Equal(t, "#cloud-config\nuser: ann\n", vs.Spec.CloudInit)
	assert.Equal(t, "ann", vs.Annotations[v1beta1.AnnotationLoginUser])

	for what, test := range map[string]struct {
		arguments []string
		want      string
	}{
		"a private key":       {[]string{"--ssh-key", home + "/.ssh/id_ed25519"}, "--ssh-key: " + home + "/.ssh/id_ed25519 is a private key"},
		"no file":             {[]string{"--ssh-key", home + "/none.pub"}, "no such file"},
		"none and a file":     {[]string{"--ssh-key=none", "--ssh-key", "x"}, "none or files, not both"},
		"a user of two words": {[]string{"--user", "a b"}, `--user: "a b" is no name of a user`},
		"own data and a user": {[]string{"--user", "ann", "--cloud-init", home + "/.ssh/id_ed25519.pub"}, "--cloud-init has its own"},
		"an empty password":   {[]string{"--password-stdin"}, "--password-stdin: the password is empty"},
		"an unknown image":    {[]string{"--image", "ubunto"}, `--image: no image is called "ubunto"; did you mean ubuntu?`},
	} {
		_, _, err := planned(t, test.arguments...)
		assert.ErrorContains(t, err, test.want, what)
	}
}

func TestPasswordFromStandardInput(t *testing.T) {
	flags := loginFlags{keys: []string{noKeys}, password: true}
	for _, input := range []string{"pass word", "pass word\n", "pass word\r\nmore\n"} {
		access, err := flags.access(strings.NewReader(input), false)
		require.NoError(t, err)
		assert.Regexp(t, `^\$6\$`, access.PasswordHash)
	}
}

func TestSecretsOfANewMachine(t *testing.T) {
	labels := map[string]string{login.LabelMadeFor: "web"}
	secret := func(name string, labels map[string]string, text string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "team", Labels: labels}, StringData: map[string]string{"k": text}}
	}
	client := fake.NewClientset(secret("web-cloud-init", nil, "of somebody"))
	wanted := []*corev1.Secret{secret("web-ssh-keys", labels, "new"), secret("web-cloud-init", labels, "new")}
	_, err := makeSecrets(t.Context(), client, "team", wanted, nil)
	assert.EqualError(t, err, "there is a Secret web-cloud-init that was not made for a machine of this name: delete it, or choose another name")
	kept := func() map[string]string {
		list, err := client.CoreV1().Secrets("team").List(context.Background(), metav1.ListOptions{})
		require.NoError(t, err)
		kept := map[string]string{}
		for _, secret := range list.Items {
			kept[secret.Name] = secret.StringData["k"]
		}
		return kept
	}
	assert.Equal(t, map[string]string{"web-cloud-init": "of somebody"}, kept(), "nothing is left half-made, and nothing of others is touched")

	client = fake.NewClientset(secret("web-ssh-keys", labels, "of an earlier machine"))
	undo, err := makeSecrets(t.Context(), client, "team", wanted, nil)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"web-ssh-keys": "new", "web-cloud-init": "new"}, kept())
	undo(t.Context())
	assert.Equal(t, map[string]string{"web-ssh-keys": "new"}, kept())
}

func TestHowToLogIn(t *testing.T) {
	s := aSession(t, "-n", "team")
	for want, test := range map[string]struct {
		access login.Access
		own    bool
	}{
		"Log in: kubectl vs ssh web -n team":                                  {login.Access{Keys: []string{"k"}, PasswordHash: "x"}, false},
		"Log in as ann: kubectl vs console web -n team":                       {login.Access{PasswordHash: "x", User: "ann"}, false},
		"Log in as your cloud-init data says: kubectl vs console web -n team": {login.Access{}, true},
		"Nobody can log in: there is no public key in ~/.ssh and no password. --ssh-key, --password-stdin or --cloud-init gives a way in.": {login.Access{}, false},
	} {
		assert.Equal(t, want, s.howToLogIn("web", test.access, test.own))
	}
}

func TestUserToLogInAs(t *testing.T) {
	for what, test := range map[string]struct {
		vs   *v1beta1.VirtualServer
		want string
	}{
		"nothing is known": {&v1beta1.VirtualServer{}, ""},
		"annotated":        {&v1beta1.VirtualServer{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1beta1.AnnotationLoginUser: "ann"}}}, "ann"},
		"an option of ssh": {&v1beta1.VirtualServer{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1beta1.AnnotationLoginUser: "-oProxyCommand=x"}}}, ""},
		"users of keys":    {&v1beta1.VirtualServer{Spec: v1beta1.VirtualServerSpec{SSHKeys: &v1beta1.SSHKeys{Users: []string{"bob", "eve"}}}}, "bob"},
	} {
		assert.Equal(t, test.want, loginUser(test.vs), what)
	}
}

func TestCatalogueOfACluster(t *testing.T) {
	published := func(text string) *fake.Clientset {
		return fake.NewClientset(&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "virtualserver-system", Name: "virtualserver-images"}, Data: map[string]string{"catalogue.yaml": text},
		})
	}
	catalogue, err := catalogueOf(t.Context(), fake.NewClientset())
	require.NoError(t, err)
	assert.Equal(t, "ubuntu", catalogue.Images[0].Name, "the one that is built in")
	catalogue, err = catalogueOf(t.Context(), published(`images: [{name: ours, user: ann, versions: [{version: "1", claim: {namespace: images, name: ours}}]}]`))
	require.NoError(t, err)
	out := &strings.Builder{}
	require.NoError(t, writeCatalogue(out, catalogue, ""))
	assert.Contains(t, out.String(), "ours:1")
	assert.Contains(t, out.String(), "a copy of the claim images/ours")
	_, err = catalogueOf(t.Context(), published("images: {"))
	assert.ErrorContains(t, err, "catalogue.yaml of the ConfigMap virtualserver-system/virtualserver-images")
	assert.ErrorContains(t, writeCatalogue(out, catalogue, "table"), `--output is json or yaml, not "table"`)
	out.Reset()
	require.NoError(t, writeCatalogue(out, catalogue, "yaml"))
	assert.Contains(t, out.String(), "images:\n- name: ours\n")
}
