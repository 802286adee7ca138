package integration

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/test/framework"
)

// Two machines where the quota is one. kube-apiserver does not count the kinds of extension servers; this server does.
func TestQuotaCountsVirtualServers(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	const count = corev1.ResourceName("count/virtualservers.tensorstack.dev")
	quotas := e.Kube.CoreV1().ResourceQuotas(e.Namespace)
	_, err := quotas.Create(e.Context, &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "machines"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{count: resource.MustParse("1")}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	used := func(want int64) func() error {
		return func() error {
			quota, err := quotas.Get(e.Context, "machines", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if found, counted := quota.Status.Used[count]; !counted || found.Value() != want {
				return fmt.Errorf("%v are used, not %d", quota.Status.Used, want)
			}
			return nil
		}
	}
	e.Eventually("the quota is computed", used(0))

	e.Create(halted("first"))
	e.Eventually("the first machine is counted", used(1))
	err = untilRefused(e, halted("second"))
	assert.True(t, apierrors.IsForbidden(err), "%v", err)
	assert.ErrorContains(t, err, "exceeded quota: machines, requested: count/virtualservers.tensorstack.dev=1")
	_, err = e.Client().Create(e.Context, halted("second"), metav1.CreateOptions{})
	assert.True(t, apierrors.IsForbidden(err), "%v", err)

	// An update takes nothing from the quota, and a deletion gives back.
	e.MustKubectl("label", "virtualserver", "first", "touched=yes")
	e.MustKubectl("delete", "virtualserver", "first", "--wait", "--timeout=90s")
	e.Eventually("the deleted machine is no longer counted", used(0))
	e.Eventually("there is room for another machine", func() error {
		_, err := e.Client().Create(e.Context, halted("second"), metav1.CreateOptions{})
		return err
	})
}

func TestNothingIsCreatedInANamespaceThatEnds(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	// Something with a finalizer keeps the namespace from ending before the test has looked.
	configMaps := e.Kube.CoreV1().ConfigMaps(e.Namespace)
	_, err := configMaps.Create(e.Context, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "anchor", Finalizers: []string{"test.tensorstack.dev/anchor"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	e.Create(halted("machine"))
	require.NoError(t, e.Kube.CoreV1().Namespaces().Delete(e.Context, e.Namespace, metav1.DeleteOptions{}))

	refusal := untilRefused(e, halted("late"))
	assert.True(t, apierrors.HasStatusCause(refusal, corev1.NamespaceTerminatingCause), "%v", refusal)
	_, err = e.Client().Create(e.Context, halted("late"), metav1.CreateOptions{})
	assert.True(t, apierrors.IsForbidden(err), "%v", err)
	// The namespace controller and the finalizer of the machine still have their way.
	nothingLeft(e)
	e.Eventually("the VirtualServer is gone", func() error {
		list, err := e.Client().List(e.Context, metav1.ListOptions{})
		if err == nil && len(list.Items) > 0 {
			return fmt.Errorf("%d are left", len(list.Items))
		}
		return err
	})
	anchor, err := configMaps.Get(e.Context, "anchor", metav1.GetOptions{})
	require.NoError(t, err)
	anchor.Finalizers = nil
	_, err = configMaps.Update(e.Context, anchor, metav1.UpdateOptions{})
	require.NoError(t, err)
}

func TestNothingIsCreatedInANamespaceThatIsNotThere(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	_, err := e.VirtualServers.TensorstackV1beta1().VirtualServers(e.Namespace+"-nowhere").Create(e.Context, halted("machine"), metav1.CreateOptions{})
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
}
