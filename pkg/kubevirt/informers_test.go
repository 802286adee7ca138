package kubevirt

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// The product starts without KubeVirt, and finds the machines when it is installed.
func TestKindThatIsNotInstalledCountsAsEmpty(t *testing.T) {
	missing := apierrors.NewNotFound(kubevirtv1.Resource("virtualmachines"), "")
	one := &kubevirtv1.VirtualMachineList{Items: []kubevirtv1.VirtualMachine{{}}}
	var answer runtime.Object
	var failure error
	list := missingIsEmpty(&kubevirtv1.VirtualMachineList{}, func(context.Context, metav1.ListOptions) (runtime.Object, error) {
		return answer, failure
	})
	for _, step := range []struct {
		answer runtime.Object
		err    error
		fails  bool
		items  int
	}{
		{nil, errors.New("forbidden"), true, 0},
		{nil, missing, false, 0},
		{nil, missing, false, 0},
		{one, nil, false, 1},
		{nil, missing, false, 0},
	} {
		answer, failure = step.answer, step.err
		objects, err := list(t.Context(), metav1.ListOptions{})
		if step.fails {
			assert.ErrorIs(t, err, step.err)
			continue
		}
		require.NoError(t, err)
		machines, ok := objects.(*kubevirtv1.VirtualMachineList)
		require.True(t, ok)
		assert.Len(t, machines.Items, step.items)
	}
}

func TestInformerOfAMissingKindIsSynced(t *testing.T) {
	missing := apierrors.NewNotFound(kubevirtv1.Resource("virtualmachines"), "")
	informer := newInformer(nil, &kubevirtv1.VirtualMachine{}, &kubevirtv1.VirtualMachineList{}, labels.Everything(), cache.Indexers{},
		func(context.Context, metav1.ListOptions) (runtime.Object, error) { return nil, missing },
		func(context.Context, metav1.ListOptions) (watch.Interface, error) { return nil, missing })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); informer.RunWithContext(ctx) }()
	assert.True(t, cache.WaitFor(ctx, "", informer.HasSyncedChecker()))
	cancel()
	<-done
}
