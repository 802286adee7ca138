package virtualserver

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// What a user changes of a disk that is being imported is no failure. The same wait is one if a disk with data goes.
func TestAnEditDuringTheImportIsNoFailure(t *testing.T) {
	size := func(size string) func(*v1beta1.VirtualServer) {
		return func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Root.PVC.Size = resource.MustParse(size) }
	}
	for name, test := range map[string]struct {
		phase cdiv1.DataVolumePhase
		edit  func(*v1beta1.VirtualServer)
		// lost says that a person deletes the DataVolume.
		lost   bool
		reason string
	}{
		"a larger disk while it is imported": {cdiv1.ImportInProgress, size("6Gi"), false, reasonImportingAgain},
		"a larger disk before":               {cdiv1.Pending, size("1Ti"), false, reasonImportingAgain},
		"another image":                      {cdiv1.ImportInProgress, func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Root.Source.HTTP.URL = "http://images/b" }, false, reasonImportingAgain},
		"both after a failure": {cdiv1.Failed, func(vs *v1beta1.VirtualServer) {
			size("9Gi")(vs)
			vs.Spec.Storage.Root.Source.HTTP.URL = "http://images/b"
		}, false, reasonImportingAgain},
		"another kind of source": {cdiv1.ImportScheduled, func(vs *v1beta1.VirtualServer) {
			vs.Spec.Storage.Root.Source = cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}
		}, false, reasonImportingAgain},
		"an import that somebody gave up": {cdiv1.ImportInProgress, func(*v1beta1.VirtualServer) {}, true, reasonImportingAgain},
		"a disk with data":                {cdiv1.Succeeded, func(*v1beta1.VirtualServer) {}, true, reasonDiskDeleted},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, testServer())
			b.settle("web")
			vm := b.server("web").Status.VM.Name
			b.claimFor(b.server("web"))
			b.kubevirt.volumes[vm].Status.Phase = test.phase
			b.settle("web")
			going := b.kubevirt.volumes[vm].DeepCopy()
			going.DeletionTimestamp = ptr.To(metav1.Now())
			vs := b.server("web")
			test.edit(vs)
			b.update(vs)
			var told []string
			if !test.lost {
				_, events, err := b.pass("web")
				require.NoError(t, err)
				require.NotContains(t, b.kubevirt.volumes, vm)
				told = events
			}
			// A finalizer holds it for a while, as CDI's does.
			b.kubevirt.volumes[vm] = going
			_, events, err := b.pass("web")
			require.NoError(t, err)
			told = append(told, events...)
			condition := meta.FindStatusCondition(b.server("web").Status.Conditions, v1beta1.ConditionReconciled)
			require.NotNil(t, condition)
			assert.Equal(t, test.reason, condition.Reason)
			all := strings.Join(told, "\n")
			assert.Equal(t, test.reason == reasonDiskDeleted, strings.Contains(all, "ReconcileFailed"), all)
			assert.Equal(t, !test.lost, strings.Contains(all, "Normal ImportAgain"), all)
		})
	}
}
