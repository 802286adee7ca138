package translate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// withKeys lets the owners of the keys in a Secret log in, as the given users or the image's own.
func withKeys(secret string, users ...string) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) {
		vs.Spec.SSHKeys = &v1beta1.SSHKeys{SecretRef: corev1.LocalObjectReference{Name: secret}, Users: users}
	}
}

func withoutCloudInit(vs *v1beta1.VirtualServer) { vs.Spec.CloudInit = "" }

func TestSSHKeysByCloudInit(t *testing.T) {
	byRef := func(vs *v1beta1.VirtualServer) {
		vs.Spec.CloudInit, vs.Spec.CloudInitSecretRef = "", &corev1.LocalObjectReference{Name: "mine"}
	}
	for name, test := range map[string]struct {
		edit             func(*v1beta1.VirtualServer)
		secret, userData string
	}{
		"beside user data":                  {func(*v1beta1.VirtualServer) {}, testVM, guideExample(t).Spec.CloudInit},
		"without user data":                 {withoutCloudInit, testVM, "#cloud-config\n"},
		"beside user data of somebody else": {byRef, "mine", ""},
	} {
		t.Run(name, func(t *testing.T) {
			vs := guideExample(t, test.edit, withKeys("keys"))
			spec := machine(t, vs).Spec.Template.Spec
			require.Len(t, spec.AccessCredentials, 1)
			key := spec.AccessCredentials[0].SSHPublicKey
			assert.Equal(t, "keys", key.Source.Secret.SecretName)
			assert.NotNil(t, key.PropagationMethod.NoCloud)
			assert.Nil(t, key.PropagationMethod.QemuGuestAgent)
			volume := findVolume(spec.Volumes, CloudInitDiskName)
			require.NotNil(t, volume, "KubeVirt refuses keys without a disk that carries them")
			assert.Equal(t, test.secret, volume.CloudInitNoCloud.UserDataSecretRef.Name)
			secret := CloudInitSecret(vs)
			if test.userData == "" {
				assert.Nil(t, secret)
				return
			}
			assert.Equal(t, test.userData, string(secret.Data[UserDataKey]))
		})
	}
}

func TestSSHKeysByTheGuestAgent(t *testing.T) {
	vs := guideExample(t, withoutCloudInit, withKeys("keys", "ann", "bob"))
	spec := machine(t, vs).Spec.Template.Spec
	require.Len(t, spec.AccessCredentials, 1, "KubeVirt makes a volume of each Secret, and two of one name are no valid pod")
	method := spec.AccessCredentials[0].SSHPublicKey.PropagationMethod
	assert.Nil(t, method.NoCloud)
	assert.Equal(t, []string{"ann", "bob"}, method.QemuGuestAgent.Users)
	assert.Nil(t, findVolume(spec.Volumes, CloudInitDiskName), "the guest agent needs no disk")
	assert.Nil(t, CloudInitSecret(vs))
}

func TestRestartRequiredForSSHKeys(t *testing.T) {
	none := func(*v1beta1.VirtualServer) {}
	for name, test := range map[string]struct {
		before, after []func(*v1beta1.VirtualServer)
		want          []string
	}{
		"added": {nil, []func(*v1beta1.VirtualServer){withKeys("keys")}, []string{"spec.sshKeys: none -> Secret keys"}},
		"added without user data": {[]func(*v1beta1.VirtualServer){withoutCloudInit},
			[]func(*v1beta1.VirtualServer){withoutCloudInit, withKeys("keys")}, []string{"spec.sshKeys: none -> Secret keys"}},
		"taken away": {[]func(*v1beta1.VirtualServer){withoutCloudInit, withKeys("keys")},
			[]func(*v1beta1.VirtualServer){withoutCloudInit}, []string{"spec.sshKeys: Secret keys -> none"}},
		"others": {[]func(*v1beta1.VirtualServer){withKeys("keys")}, []func(*v1beta1.VirtualServer){withKeys("more")},
			[]string{"spec.sshKeys: Secret keys -> Secret more"}},
		"for users": {[]func(*v1beta1.VirtualServer){withoutCloudInit, withKeys("keys")},
			[]func(*v1beta1.VirtualServer){withoutCloudInit, withKeys("keys", "ann", "bob")},
			[]string{"spec.sshKeys: Secret keys -> Secret keys for ann, bob"}},
		"user data added as well": {[]func(*v1beta1.VirtualServer){withoutCloudInit, withKeys("keys")},
			[]func(*v1beta1.VirtualServer){none, withKeys("keys")}, []string{"spec.cloudInit: none -> Secret " + testVM}},
		"user data taken away": {[]func(*v1beta1.VirtualServer){withKeys("keys")},
			[]func(*v1beta1.VirtualServer){withoutCloudInit, withKeys("keys")}, []string{"spec.cloudInit: Secret " + testVM + " -> none"}},
	} {
		t.Run(name, func(t *testing.T) {
			live := admitted(machine(t, guideExample(t, test.before...)))
			vmi := running(live)
			desired := machine(t, guideExample(t, test.after...))
			merged, _ := MergeVirtualMachine(live, desired)
			for kind, vm := range map[string]*kubevirtv1.VirtualMachine{"desired": desired, "merged": merged} {
				var got []string
				for _, change := range RestartRequired(vm, vmi) {
					got = append(got, change.String())
				}
				assert.Equal(t, test.want, got, kind)
			}
			back, _ := MergeVirtualMachine(merged, machine(t, guideExample(t, test.before...)))
			assert.Empty(t, RestartRequired(back, vmi), "taking the edit back clears it")
		})
	}
}

// Credentials that somebody else gave to the machine stay, whatever becomes of ours.
func TestCredentialsOfOthersStay(t *testing.T) {
	others := []kubevirtv1.AccessCredential{
		{UserPassword: &kubevirtv1.UserPasswordAccessCredential{Source: kubevirtv1.UserPasswordAccessCredentialSource{
			Secret: &kubevirtv1.AccessCredentialSecretSource{SecretName: "passwords"}}}},
		accessCredentials(guideExample(t, withKeys("theirs", "eve")).Spec.SSHKeys)[0],
	}
	live := machine(t, guideExample(t, withKeys("keys")))
	live.Spec.Template.Spec.AccessCredentials = append(live.Spec.Template.Spec.AccessCredentials, others...)
	for name, test := range map[string]struct {
		edit  func(*v1beta1.VirtualServer)
		first []string
	}{
		"kept":       {withKeys("keys"), []string{"keys"}},
		"changed":    {withKeys("more"), []string{"more"}},
		"taken away": {func(*v1beta1.VirtualServer) {}, nil},
	} {
		merged, changed := MergeVirtualMachine(live, machine(t, guideExample(t, test.edit)))
		assert.Equal(t, name != "kept", changed, name)
		var first []string
		credentials := merged.Spec.Template.Spec.AccessCredentials
		for _, credential := range credentials[:len(credentials)-len(others)] {
			first = append(first, keysSecret(credential))
		}
		assert.Equal(t, test.first, first, name)
		assert.Equal(t, others, credentials[len(credentials)-len(others):], name)
		_, changed = MergeVirtualMachine(merged, machine(t, guideExample(t, test.edit)))
		assert.False(t, changed, name)
	}
}
