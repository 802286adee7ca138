package virtualserver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/naming"
	"tensorstack.dev/virtualserver/pkg/translate"
)

func made(name string, uid types.UID, server string, age time.Duration) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:              name,
		Labels:            map[string]string{translate.LabelUID: string(uid)},
		Annotations:       map[string]string{translate.AnnotationName: server},
		CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(-age)),
	}
}

func TestOwnershipOf(t *testing.T) {
	vs := &v1beta1.VirtualServer{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "new"}}
	for _, test := range []struct {
		name   string
		object metav1.ObjectMeta
		want   ownership
	}{
		{"made for this one", made("x", "new", "web", 0), owned},
		{"made for an earlier one of the name", made("x", "old", "web", 0), orphaned},
		{"made for another one", made("x", "other", "db", 0), foreign},
		{"without labels", metav1.ObjectMeta{Name: "x"}, foreign},
		{"with the name only", metav1.ObjectMeta{Annotations: map[string]string{translate.AnnotationName: "web"}}, foreign},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, ownershipOf(&test.object, vs))
		})
	}
}

func TestChooseOrphan(t *testing.T) {
	vs := &v1beta1.VirtualServer{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "new"}}
	vm := func(meta metav1.ObjectMeta) *kubevirtv1.VirtualMachine {
		result := machine(halted)
		result.ObjectMeta = meta
		return result
	}
	going := made("going", "old", "web", 0)
	going.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	for _, test := range []struct {
		name     string
		machines []*kubevirtv1.VirtualMachine
		volumes  []*cdiv1.DataVolume
		want     orphanChoice
	}{
		{"nothing is left", nil, nil, orphanChoice{}},
		{"a machine and its disk", []*kubevirtv1.VirtualMachine{vm(made("a", "old", "web", 0))},
			[]*cdiv1.DataVolume{{ObjectMeta: made("a", "old", "web", 0)}}, orphanChoice{name: "a", strategy: halted}},
		{"only a disk", nil, []*cdiv1.DataVolume{{ObjectMeta: made("a", "old", "web", 0)}}, orphanChoice{name: "a"}},
		{"the newest of two", []*kubevirtv1.VirtualMachine{
			vm(made("a", "older", "web", time.Hour)), vm(made("b", "old", "web", 0)),
		}, nil, orphanChoice{name: "b", strategy: halted, others: 1}},
		{"not one that is being deleted", []*kubevirtv1.VirtualMachine{vm(going)}, nil, orphanChoice{}},
		{"not one of another name", []*kubevirtv1.VirtualMachine{vm(made("a", "old", "db", 0))}, nil, orphanChoice{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, chooseOrphan(vs, test.machines, test.volumes))
		})
	}
}

func TestFormerNames(t *testing.T) {
	vs := &v1beta1.VirtualServer{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "1"}}
	vs.Status.VM.Name = naming.VMName("web", "1", 0)
	assert.Empty(t, formerNames(vs), "no collision, no former name")

	vs.Status.VM.CollisionCount = 2
	vs.Status.VM.Name = naming.VMName("web", "1", 2)
	assert.Equal(t, []string{naming.VMName("web", "1", 0), naming.VMName("web", "1", 1)}, formerNames(vs))
}
