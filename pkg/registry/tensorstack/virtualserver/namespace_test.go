package virtualserver

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// A source of the VirtualServer's own namespace need not name it.
func TestTheNamespaceOfASource(t *testing.T) {
	ctx := genericapirequest.WithNamespace(context.Background(), "ns")
	pvc := func(namespace string) cdiv1.DataVolumeSource {
		return cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: namespace, Name: "a"}}
	}
	snapshot := func(namespace string) cdiv1.DataVolumeSource {
		return cdiv1.DataVolumeSource{Snapshot: &cdiv1.DataVolumeSourceSnapshot{Namespace: namespace, Name: "a"}}
	}
	blank := cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}
	for name, test := range map[string]struct{ given, want cdiv1.DataVolumeSource }{
		"a claim":              {pvc(""), pvc("ns")},
		"a claim elsewhere":    {pvc("golden"), pvc("golden")},
		"a claim of its own":   {pvc("ns"), pvc("ns")},
		"a snapshot":           {snapshot(""), snapshot("ns")},
		"a snapshot elsewhere": {snapshot("golden"), snapshot("golden")},
		"something else":       {blank, blank},
		"nothing":              {cdiv1.DataVolumeSource{}, cdiv1.DataVolumeSource{}},
	} {
		t.Run(name, func(t *testing.T) {
			created := newServer()
			created.Spec.Storage.Root.Source = *test.given.DeepCopy()
			newStrategy().PrepareForCreate(ctx, created)
			assert.Equal(t, test.want, created.Spec.Storage.Root.Source)

			old, updated := newServer(), newServer()
			old.Spec.Storage.Root.Source = *test.want.DeepCopy()
			updated.Spec.Storage.Root.Source = *test.given.DeepCopy()
			newStrategy().PrepareForUpdate(ctx, updated, old)
			assert.Equal(t, test.want, updated.Spec.Storage.Root.Source)
			assert.Equal(t, old.Generation, updated.Generation, "the same manifest again changes nothing")
		})
	}
}
