package login

import (
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/GehirnInc/crypt/sha512_crypt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func aKey(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func TestPublicKeys(t *testing.T) {
	one, other := aKey(t), aKey(t)
	keys, err := PublicKeys("f", []byte("# mine\n\n"+one+" ann@laptop\n  "+`from="10.0.0.0/8" `+other+"\r\n"))
	require.NoError(t, err)
	assert.Equal(t, []string{one + " ann@laptop", `from="10.0.0.0/8" ` + other}, keys)

	for what, test := range map[string]struct{ content, want string }{
		"a private key": {"-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", "f is a private key, which stays with you: name the file of the public one, f.pub"},
		"empty":         {"", "f has no public key"},
		"comments":      {"# x\n", "f has no public key"},
		"text":          {one + "\nhello\n", "f, line 2 is no public key"},
		"half a key":    {one[:40], "f, line 1 is no public key"},
		"binary":        {"\x00\x01\x02", "f, line 1 is no public key"},
	} {
		_, err := PublicKeys("f", []byte(test.content))
		assert.EqualError(t, err, test.want, what)
	}
}

func TestCheckUser(t *testing.T) {
	for _, name := range []string{"ann", "_x", "a-b_c1", strings.Repeat("a", 32)} {
		assert.NoError(t, CheckUser(name), name)
	}
	for _, name := range []string{"", "Ann", "1a", "a b", "a:b", "-a", "añ", "a\nb", strings.Repeat("a", 33), "root;x"} {
		assert.Error(t, CheckUser(name), "%q", name)
	}
}

func TestHashPassword(t *testing.T) {
	hash, err := HashPassword("correct horse")
	require.NoError(t, err)
	assert.Regexp(t, `^\$6\$`, hash)
	assert.NoError(t, sha512_crypt.New().Verify(hash, []byte("correct horse")))
	again, err := HashPassword("correct horse")
	require.NoError(t, err)
	assert.NotEqual(t, hash, again, "each has a salt of its own")
	for _, password := range []string{"", "a\nb", "a\x00"} {
		_, err := HashPassword(password)
		assert.Error(t, err, "%q", password)
	}
}

func TestApply(t *testing.T) {
	for what, test := range map[string]struct {
		access           Access
		secrets          []string
		user             string
		config           map[string]any
		inSpec, inSecret bool
	}{
		"nothing":                    {Access{}, nil, "", nil, false, false},
		"a key for the image's user": {Access{Keys: []string{"k"}, ImageUser: "ubuntu"}, []string{"web-ssh-keys"}, "ubuntu", nil, false, false},
		"a key for that user, named": {Access{Keys: []string{"k"}, User: "ubuntu", ImageUser: "ubuntu"}, []string{"web-ssh-keys"}, "ubuntu", nil, false, false},
		"a key for another user": {Access{Keys: []string{"k"}, User: "ann", ImageUser: "ubuntu"}, []string{"web-ssh-keys"}, "ann",
			map[string]any{"user": "ann"}, true, false},
		"a user of an unknown image": {Access{User: "ann"}, nil, "ann", map[string]any{"user": "ann"}, true, false},
		"a password": {Access{PasswordHash: "$6$x$y", ImageUser: "debian"}, []string{"web-cloud-init"}, "debian",
			map[string]any{"password": "$6$x$y", "chpasswd": map[string]any{"expire": false}}, false, true},
		"all": {Access{Keys: []string{"k", "l"}, User: "ann", PasswordHash: "$6$x$y", ImageUser: "debian"}, []string{"web-ssh-keys", "web-cloud-init"}, "ann",
			map[string]any{"user": "ann", "password": "$6$x$y", "chpasswd": map[string]any{"expire": false}}, false, true},
	} {
		t.Run(what, func(t *testing.T) {
			vs := &v1beta1.VirtualServer{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "team"}}
			secrets, err := test.access.Apply(vs)
			require.NoError(t, err)
			var names []string
			userData := vs.Spec.CloudInit
			for _, secret := range secrets {
				names = append(names, secret.Name)
				assert.Equal(t, "team", secret.Namespace)
				assert.Equal(t, map[string]string{LabelMadeFor: "web"}, secret.Labels)
				assert.Empty(t, secret.OwnerReferences, "the loss of the store must not take it from a machine that runs")
				if text, ok := secret.StringData["userdata"]; ok {
					userData = text
				}
			}
			assert.Equal(t, test.secrets, names)
			assert.Equal(t, test.user, vs.Annotations[v1beta1.AnnotationLoginUser])
			assert.Equal(t, test.inSpec, vs.Spec.CloudInit != "")
			assert.Equal(t, test.inSecret, vs.Spec.CloudInitSecretRef != nil)
			assert.Equal(t, len(test.access.Keys) > 0, vs.Spec.SSHKeys != nil)
			assert.NotContains(t, vs.Spec.CloudInit, "$6$", "no hash in the object, which others read")
			if test.config != nil {
				assert.True(t, strings.HasPrefix(userData, "#cloud-config\n"))
				var config map[string]any
				require.NoError(t, yaml.Unmarshal([]byte(userData), &config))
				assert.Equal(t, test.config, config)
			}
		})
	}
}

func TestNamesOfSecrets(t *testing.T) {
	seen := map[string]bool{}
	for _, machine := range []string{"a", "web", "web.example", "web-example", strings.Repeat("a", 63), strings.Repeat("a", 253), strings.Repeat("a.", 30) + "a",
		strings.Repeat("b-", 30) + "b"} {
		name := secretName(machine, "ssh-keys")
		assert.LessOrEqual(t, len(name), 51, name)
		assert.Empty(t, validation.IsDNS1123Label(name), name)
		assert.False(t, seen[name], name)
		seen[name] = true
	}
	assert.Equal(t, "web-ssh-keys", secretName("web", "ssh-keys"))
}
