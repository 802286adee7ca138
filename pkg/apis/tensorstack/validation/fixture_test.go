package validation

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// valid returns a VirtualServer as defaulting leaves it.
func valid() *tensorstack.VirtualServer {
	return &tensorstack.VirtualServer{
		ObjectMeta: metav1.ObjectMeta{Name: "vs", Namespace: "default", ResourceVersion: "1"},
		Spec: tensorstack.VirtualServerSpec{
			RunStrategy: tensorstack.RunStrategyAlways,
			Resources: tensorstack.Resources{
				CPU:    tensorstack.CPU{Cores: intstr.FromInt32(1)},
				Memory: resource.MustParse("1Gi"),
			},
			Storage: tensorstack.Storage{Root: tensorstack.RootDisk{
				PVC: tensorstack.RootDiskClaim{
					Size:        resource.MustParse("4Gi"),
					VolumeMode:  corev1.PersistentVolumeFilesystem,
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				},
				Source:         cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}},
				DeletionPolicy: tensorstack.DeletionPolicyDelete,
			}},
			Network: tensorstack.Network{DNSPolicy: corev1.DNSClusterFirst},
		},
	}
}

// rule is a change of a valid object and the errors that it must give: the field, a space, and a part of the message.
type rule struct {
	change func(spec *tensorstack.VirtualServerSpec)
	want   []string
}

func checkRules(t *testing.T, rules map[string]rule) {
	t.Helper()
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			vs := valid()
			rule.change(&vs.Spec)
			requireErrors(t, rule.want, ValidateVirtualServer(vs))
		})
	}
}

func requireErrors(t *testing.T, want []string, got field.ErrorList) {
	t.Helper()
	require.Len(t, got, len(want), "%v", got)
	for i, expected := range want {
		path, message, _ := strings.Cut(expected, " ")
		assert.Equal(t, path, got[i].Field)
		assert.Contains(t, got[i].Error(), message)
	}
}

func disks(disks ...tensorstack.AdditionalDisk) func(*tensorstack.VirtualServerSpec) {
	return func(spec *tensorstack.VirtualServerSpec) { spec.Storage.AdditionalDisks = disks }
}

func filesystems(filesystems ...tensorstack.Filesystem) func(*tensorstack.VirtualServerSpec) {
	return func(spec *tensorstack.VirtualServerSpec) { spec.Storage.Filesystems = filesystems }
}

func claim(name string) tensorstack.VolumeSource {
	return tensorstack.VolumeSource{PersistentVolumeClaim: &tensorstack.PersistentVolumeClaimSource{ClaimName: name}}
}

func configMap(name string) tensorstack.VolumeSource {
	return tensorstack.VolumeSource{ConfigMap: &tensorstack.ConfigMapSource{Name: name}}
}

func serviceAccount(name string) tensorstack.VolumeSource {
	return tensorstack.VolumeSource{ServiceAccount: &tensorstack.ServiceAccountSource{ServiceAccountName: name}}
}

func TestValidObject(t *testing.T) {
	require.Empty(t, ValidateVirtualServer(valid()))
	require.Empty(t, Warnings(valid()))
}
