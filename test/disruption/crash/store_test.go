package crash

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// testEmptiedStore loses the whole store while machines run. docs/administration.md has the rule: the product touches
// nothing until an administrator takes the store as it is; VirtualServers that are applied again take over their machines.
func testEmptiedStore(t *testing.T, e *framework.Environment) {
	p := product{e}
	t.Cleanup(p.recover)
	specs := []*v1beta1.VirtualServer{
		framework.Minimal("runs", withEverything),
		framework.Minimal("halted"),
		framework.Minimal("manual", framework.WithStrategy(v1beta1.RunStrategyManual)),
	}
	for _, vs := range specs {
		e.Create(vs)
	}
	e.WaitSettled("manual", v1beta1.StatusStopped)
	e.MustOperate("manual", "start")
	e.WaitSettled("halted", v1beta1.StatusRunning)
	e.MustOperate("halted", "stop")
	machines := map[string]string{
		"runs":   e.WaitSettled("runs", v1beta1.StatusRunning).Status.VM.Name,
		"halted": e.WaitSettled("halted", v1beta1.StatusStopped).Status.VM.Name,
		"manual": e.WaitSettled("manual", v1beta1.StatusRunning).Status.VM.Name,
	}
	lost := e.Get("runs")
	before := identities(e)
	require.Len(t, before, 13, "three machines and disks with claims, two instances, one Secret and Service: %v", before)
	dependOn(e, "made before the loss", lost)

	p.kill()
	p.emptyStore()
	p.startRefusing("The store is empty")
	list, err := e.Client().List(e.Context, metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, list.Items)
	dependOn(e, "made after the loss", lost)
	began := time.Now()
	garbageIsCollected(e)
	t.Logf("the garbage collector has seen the loss after %v", time.Since(began).Round(time.Millisecond))
	assert.Equal(t, before, identities(e), "neither the product nor the garbage collector touches a thing")

	p.stop()
	p.start("--adopt-store")
	for _, vs := range specs {
		vs.ResourceVersion, vs.UID = "", ""
		e.Create(vs)
	}
	for name, status := range map[string]v1beta1.PrintableStatus{
		"runs": v1beta1.StatusRunning, "halted": v1beta1.StatusStopped, "manual": v1beta1.StatusRunning,
	} {
		vs := e.WaitSettled(name, status)
		assert.Equal(t, machines[name], vs.Status.VM.Name, "%s has its machine back", name)
	}
	assert.Equal(t, v1beta1.RunStrategyHalted, e.Get("halted").Status.RunStrategy, "what was stopped stays stopped")
	assert.Equal(t, before, identities(e), "adoption keeps every object and restarts no machine")

	// The machines are really theirs: they obey and can be deleted.
	e.MustOperate("runs", "restart")
	waitOtherInstance(e, "runs", lost.Status.VM.InstanceUID)
	for _, vs := range specs {
		require.NoError(t, e.Client().Delete(e.Context, vs.Name, metav1.DeleteOptions{}))
	}
	e.Eventually("nothing is left", func() error {
		if left := identities(e); len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return nil
	})
	p.stop()
	p.start()
}

// dependOn makes an object that the garbage collector removes once it finds that the VirtualServer is gone.
func dependOn(e *framework.Environment, value string, vs *v1beta1.VirtualServer) {
	e.T.Helper()
	_, err := e.Kube.CoreV1().ConfigMaps(e.Namespace).Create(e.Context, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "dependent-", Labels: map[string]string{"dependent": "true"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1beta1.SchemeGroupVersion.String(), Kind: "VirtualServer", Name: vs.Name, UID: vs.UID,
			}},
		},
		Data: map[string]string{"made": value},
	}, metav1.CreateOptions{})
	require.NoError(e.T, err)
}

// garbageIsCollected waits until the garbage collector has acted on the loss: what belongs to lost VirtualServers by owner
// references is gone. Without that, machines that are still there would prove nothing.
func garbageIsCollected(e *framework.Environment) {
	e.T.Helper()
	e.Within(2*framework.DefaultTimeout, "the garbage collector has seen that the VirtualServers are gone", func() error {
		list, err := e.Kube.CoreV1().ConfigMaps(e.Namespace).List(e.Context, metav1.ListOptions{LabelSelector: "dependent=true"})
		if err == nil && len(list.Items) > 0 {
			err = fmt.Errorf("%d objects are not collected, the first %s", len(list.Items), list.Items[0].Data["made"])
		}
		return err
	})
}

// testOlderBackup puts back a backup that knows nothing of what happened since: machines were made, restarted, stopped and
// deleted, and an operation that is pending in it was carried out long ago.
func testOlderBackup(t *testing.T, e *framework.Environment) {
	p := product{e}
	t.Cleanup(p.recover)
	for _, name := range []string{"restarted", "stopped", "pending", "deleted"} {
		e.Create(framework.Minimal(name))
	}
	for _, name := range []string{"restarted", "stopped", "pending", "deleted"} {
		e.WaitSettled(name, v1beta1.StatusRunning)
	}
	first := e.Get("pending").Status.VM.InstanceUID
	p.stop()
	p.start("--controllers=false")
	e.MustOperate("pending", "restart")
	require.NotNil(t, e.Get("pending").Status.PendingOperation)
	p.stop()
	backup := p.backUp()
	p.start()

	waitOtherInstance(e, "pending", first)
	moveOn(e)
	later := e.WaitSettled("later", v1beta1.StatusRunning).Status.VM.Name
	present := e.Get("restarted").Status.VM.InstanceUID
	// A start notes the revision, as a minute would.
	noted := p.knownRevision()
	p.stop()
	p.start()
	e.Eventually("the cluster notes the revision of the store", func() error {
		if p.knownRevision() == noted {
			return fmt.Errorf("it is still %s", noted)
		}
		return nil
	})
	before := identities(e)

	p.kill()
	p.restore(backup)
	p.startRefusing("an older backup was restored")
	require.NotNil(t, e.Get("pending").Status.PendingOperation, "the backup has the operation pending")
	require.NoError(t, e.Client().Delete(e.Context, "deleted", metav1.DeleteOptions{}))
	assert.Equal(t, before, identities(e), "no object is touched as long as nobody took the store as it is")

	p.stop()
	p.start("--adopt-store")
	vs := e.WaitSettled("pending", v1beta1.StatusRunning)
	require.NotEmpty(t, vs.Status.Operations)
	assert.Equal(t, v1beta1.OperationFailed, vs.Status.Operations[0].Result, "the operation is not repeated")
	assert.Contains(t, vs.Status.Operations[0].Message, "older copy")
	assert.Equal(t, v1beta1.RunStrategyHalted, e.WaitSettled("stopped", v1beta1.StatusStopped).Status.RunStrategy)
	e.Wait("restarted", "knows its present instance", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusRunning || vs.Status.VM.InstanceUID != present {
			return "it shows " + string(vs.Status.VM.InstanceUID)
		}
		return ""
	})
	e.Eventually("the VirtualServer that was deleted since is gone again", func() error {
		_, err := e.Client().Get(e.Context, "deleted", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is still there: %v", err)
	})
	assert.Equal(t, before, identities(e), "no machine is deleted, restarted, started or made anew")

	// The machine that the backup does not know waits for its VirtualServer.
	e.Create(framework.Minimal("later"))
	assert.Equal(t, later, e.WaitSettled("later", v1beta1.StatusRunning).Status.VM.Name)
	assert.Equal(t, before, identities(e))
	e.MustOperate("restarted", "restart")
	waitOtherInstance(e, "restarted", present)
	p.stop()
	p.start()
	e.MustOperate("stopped", "start")
	e.WaitSettled("stopped", v1beta1.StatusRunning)
}

// moveOn does what the backup knows nothing of.
func moveOn(e *framework.Environment) {
	e.T.Helper()
	first, pending := e.Get("restarted").Status.VM.InstanceUID, e.Get("pending").Status.VM.InstanceUID
	e.Create(framework.Minimal("later"))
	e.MustOperate("restarted", "restart")
	e.MustOperate("pending", "restart")
	e.MustOperate("stopped", "stop")
	gone := e.Get("deleted").Status.VM.Name
	require.NoError(e.T, e.Client().Delete(e.Context, "deleted", metav1.DeleteOptions{}))
	waitOtherInstance(e, "restarted", first)
	waitOtherInstance(e, "pending", pending)
	e.WaitSettled("stopped", v1beta1.StatusStopped)
	e.Eventually("the deleted machine is gone", func() error {
		all := identities(e)
		if len(without(all, gone)) != len(all) {
			return fmt.Errorf("something of %s is left", gone)
		}
		return nil
	})
}
