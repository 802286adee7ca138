package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// preflight is what "kubectl apply --dry-run=server" prints of a VirtualServer. It must accept it.
func preflight(e *framework.Environment, vs *v1beta1.VirtualServer) string {
	e.T.Helper()
	vs.TypeMeta = metav1.TypeMeta{APIVersion: v1beta1.SchemeGroupVersion.String(), Kind: "VirtualServer"}
	body, err := json.Marshal(vs)
	require.NoError(e.T, err)
	result := e.KubectlInput(string(body), "apply", "--dry-run=server", "-f", "-")
	require.NoError(e.T, result.Err, "a warning is no refusal: %s", result.Stderr)
	require.Contains(e.T, result.Stdout, "created (server dry run)")
	return result.Stderr
}

// A dry run tells everything that a machine would wait for, in one answer, and leaves nothing behind.
func TestDryRunIsAPreflight(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	_, err := e.Kube.CoreV1().ResourceQuotas(e.Namespace).Create(e.Context, &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "small"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourceRequestsStorage: resource.MustParse("1Gi")}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	wrong := func(vs *v1beta1.VirtualServer) {
		spec := &vs.Spec
		spec.CloudInit = "#cloud-config\nrun_cmd: ls\npassword: secret\nbootcmd:\n- mount -t virtiofs nothing /mnt\n"
		spec.Resources.CPU.Model = "Z80"
		spec.Resources.Memory = resource.MustParse("2Ti")
		spec.Resources.GPU = &v1beta1.GPU{Type: "example.com/no-such-gpu", Count: 1}
		spec.Storage.Root.PVC.Size = resource.MustParse("2Gi")
		spec.Storage.Root.PVC.StorageClassName = ptr.To("no-such-class")
		spec.Storage.Root.Source = cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: "http://me:secret@images.example.com/disk.img"}}
		spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{
			{Name: "a", VolumeSource: v1beta1.VolumeSource{PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: "no-such-claim"}}},
			{Name: "b", VolumeSource: v1beta1.VolumeSource{ConfigMap: &v1beta1.ConfigMapSource{Name: "no-such-config"}}},
			{Name: "c", VolumeSource: v1beta1.VolumeSource{ServiceAccount: &v1beta1.ServiceAccountSource{ServiceAccountName: "no-such-account"}}},
		}
	}
	said := ""
	e.Eventually("the quota is known, and everything is told", func() error {
		said = preflight(e, framework.Minimal("machine", wrong))
		for _, want := range []string{
			`cloud-init does not know "run_cmd"`,
			`spec.cloudInit: sets a password`,
			`mounts the virtiofs filesystem "nothing", which is not in spec.storage.filesystems`,
			`no node offers the CPU model "Z80"`,
			`spec.resources.memory: no node has that much memory`,
			`no node offers "example.com/no-such-gpu"`,
			`spec.storage.root.pvc.storageClassName: there is no StorageClass "no-such-class"`,
			`spec.storage.root.source.http.url: anyone on the way can change the image`,
			`spec.storage.root.source.http.url: holds a user name or password`,
			`spec.storage.additionalDisks[0]: there is no PersistentVolumeClaim "no-such-claim"`,
			`spec.storage.additionalDisks[1].configMap: there is no ConfigMap "no-such-config"`,
			`spec.storage.additionalDisks[2].serviceAccount: there is no ServiceAccount "no-such-account"`,
			`the ResourceQuota "small" leaves 1Gi of requests.storage and the machine needs 2Gi`,
		} {
			if !strings.Contains(said, want) {
				return errMissing(want + " in:\n" + said)
			}
		}
		return nil
	})
	assert.NotContains(t, said, "me:secret", "a warning does not repeat a password")
	list, err := e.Client().List(e.Context, metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, list.Items)
	left, err := e.Remaining()
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestPreflightReadsCloudInit(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	for text, want := range map[string]string{
		"#cloud-config\nuser: [a\n":              "not the YAML",
		"users: []\nruncmd: [ls]\n":              "first line must be #cloud-config",
		"hello":                                  "first line must say what it is",
		"#cloud-config\nruncmd: ls\n":            `"runcmd" must be a list`,
		"#cloud-config\nruncmd: [ls]\n":          "",
		"#!/bin/sh\nset -eu\necho 'no: [yaml'\n": "",
	} {
		said := preflight(e, halted("machine", func(vs *v1beta1.VirtualServer) { vs.Spec.CloudInit = text }))
		if want == "" {
			assert.Empty(t, said, text)
			continue
		}
		assert.Contains(t, said, "Warning: spec.cloudInit: ", text)
		assert.Contains(t, said, want, text)
	}
}

// Who applies for real is warned too, and the warning is about what is there now.
func TestPreflightOfAChange(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(halted("machine"))
	result := e.Kubectl("patch", "virtualserver", "machine", "--type=merge", "-p",
		`{"spec":{"storage":{"additionalDisks":[{"name":"data","persistentVolumeClaim":{"claimName":"late"}}]}}}`)
	require.NoError(t, result.Err, result.Stderr)
	assert.Contains(t, result.Stderr, `there is no PersistentVolumeClaim "late"`)

	result = e.Kubectl("label", "virtualserver", "machine", "color=red")
	require.NoError(t, result.Err, result.Stderr)
	assert.NotContains(t, result.Stderr, "Warning", "a change of labels needs no word about the spec")
}

// Whatever a dry run looks up in the cluster must not be queued behind what others look up.
func TestPreflightOfManyAtOnce(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	const requests, lookups = 16, 5
	vs := halted("machine", func(vs *v1beta1.VirtualServer) {
		for i := range lookups {
			vs.Spec.Storage.AdditionalDisks = append(vs.Spec.Storage.AdditionalDisks, v1beta1.AdditionalDisk{
				Name: fmt.Sprintf("disk-%d", i), VolumeSource: v1beta1.VolumeSource{ConfigMap: &v1beta1.ConfigMapSource{Name: "none"}}})
		}
	})
	told := &warningCounter{}
	config := rest.CopyConfig(e.Config)
	config.WarningHandler = told
	client := as(e, config)
	// A machine that is busy may miss some, or for a moment many. One that is throttled misses most each time.
	e.Eventually("three in four are told", func() error {
		told.count.Store(0)
		for range requests {
			_, err := client.Create(e.Context, vs, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			require.NoError(t, err)
		}
		if count := told.count.Load(); count <= requests*lookups*3/4 {
			return fmt.Errorf("only %d", count)
		}
		return nil
	})
}

type warningCounter struct{ count atomic.Int32 }

func (c *warningCounter) HandleWarningHeader(_ int, _, text string) {
	if strings.Contains(text, "there is no ConfigMap") {
		c.count.Add(1)
	}
}
