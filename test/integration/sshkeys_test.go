package integration

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

const annsKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJiQj4aBLkPjcXKhL4Yp0pMcP6BzZ1kqsUfgkYl8T3nV ann@example.com"

func keysSecret(e *framework.Environment, name string, data map[string]string) {
	e.T.Helper()
	_, err := e.Kube.CoreV1().Secrets(e.Namespace).Create(e.Context, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data,
	}, metav1.CreateOptions{})
	require.NoError(e.T, err)
}

func withSSHKeys(secret string, users ...string) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) {
		vs.Spec.SSHKeys = &v1beta1.SSHKeys{SecretRef: corev1.LocalObjectReference{Name: secret}, Users: users}
	}
}

// KubeVirt admits a machine with public keys, whichever way they come into the guest and whether there is user data or not,
// and makes a pod of it that a cluster accepts.
func TestSSHKeysReachThePod(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		users     []string
		cloudInit string
		userData  string
	}{
		"by cloud-init":                   {nil, "", "#cloud-config\n"},
		"by cloud-init beside user data":  {nil, "#cloud-config\nhostname: a\n", "#cloud-config\nhostname: a\n"},
		"by the guest agent":              {[]string{"ubuntu", "ann"}, "", ""},
		"by the guest agent with scripts": {[]string{"root"}, "#!/bin/sh\ntrue\n", "#!/bin/sh\ntrue\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := framework.New(t)
			keysSecret(e, "keys", map[string]string{"ann": annsKey, "more": annsKey + "\n" + annsKey + "\n"})
			e.Create(framework.Minimal("machine", withSSHKeys("keys", test.users...), func(vs *v1beta1.VirtualServer) {
				vs.Spec.CloudInit = test.cloudInit
			}))
			machine := e.WaitSettled("machine", v1beta1.StatusRunning).Status.VM.Name
			instance := e.Instance(machine)
			require.NotNil(t, instance)
			require.Len(t, instance.Spec.AccessCredentials, 1)
			key := instance.Spec.AccessCredentials[0].SSHPublicKey
			require.NotNil(t, key)
			assert.Equal(t, "keys", key.Source.Secret.SecretName)
			assert.Equal(t, len(test.users) == 0, key.PropagationMethod.NoCloud != nil)
			assert.Equal(t, len(test.users) != 0, key.PropagationMethod.QemuGuestAgent != nil)
			if test.userData != "" {
				secret, err := e.Kube.CoreV1().Secrets(e.Namespace).Get(e.Context, machine, metav1.GetOptions{})
				require.NoError(t, err)
				assert.Equal(t, test.userData, string(secret.Data["userdata"]))
			}
			pods, err := e.Kube.CoreV1().Pods(e.Namespace).List(e.Context, metav1.ListOptions{LabelSelector: "kubevirt.io=virt-launcher"})
			require.NoError(t, err)
			require.Len(t, pods.Items, 1)
			var volumes []string
			for _, volume := range pods.Items[0].Spec.Volumes {
				if volume.Secret != nil && volume.Secret.SecretName == "keys" {
					volumes = append(volumes, volume.Name)
				}
			}
			assert.Equal(t, []string{"keys-access-cred"}, volumes)
			vs := e.WaitCondition("machine", v1beta1.ConditionRestartRequired, metav1.ConditionFalse)
			assert.Equal(t, v1beta1.StatusRunning, vs.Status.PrintableStatus)
		})
	}
}

// An edit of the keys waits for a restart and says so. A Secret that cannot be what it should is warned of.
func TestAnEditOfSSHKeysWaitsForARestart(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	keysSecret(e, "keys", map[string]string{"ann": annsKey})
	keysSecret(e, "mistaken", map[string]string{"id": "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n"})
	e.Create(framework.Minimal("machine", func(vs *v1beta1.VirtualServer) { vs.Spec.CloudInit = "" }))
	e.WaitSettled("machine", v1beta1.StatusRunning)
	e.MustKubectl("patch", "virtualserver", "machine", "--type=merge", "-p", `{"spec":{"sshKeys":{"secretRef":{"name":"keys"}}}}`)
	vs := e.WaitCondition("machine", v1beta1.ConditionRestartRequired, metav1.ConditionTrue)
	assert.Contains(t, findCondition(vs, v1beta1.ConditionRestartRequired).Message, "spec.sshKeys: none -> Secret keys")
	require.NoError(t, e.Run("", "kubectl", "vs", "-n", e.Namespace, "restart", "machine", "--wait").Err)
	vs = e.WaitCondition("machine", v1beta1.ConditionRestartRequired, metav1.ConditionFalse)
	require.Len(t, e.Instance(vs.Status.VM.Name).Spec.AccessCredentials, 1)

	warned := e.Kubectl("patch", "virtualserver", "machine", "--type=merge", "-p", `{"spec":{"sshKeys":{"secretRef":{"name":"mistaken"}}}}`)
	require.NoError(t, warned.Err)
	assert.Contains(t, warned.Stderr, `the key "id" of the Secret "mistaken" is a private key`)
	assert.NotContains(t, warned.Stderr, "hunter2")
	refused := e.Kubectl("patch", "virtualserver", "machine", "--type=merge", "-p", `{"spec":{"sshKeys":{"secretRef":{"name":"a.b"},"users":["--help"]}}}`)
	require.Error(t, refused.Err)
	assert.Contains(t, refused.Stderr, "spec.sshKeys.secretRef.name")
	assert.Contains(t, refused.Stderr, "spec.sshKeys.users[0]")
}
