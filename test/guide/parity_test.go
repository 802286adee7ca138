package guide

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
	"tensorstack.dev/virtualserver/test/parity"
)

var updateGolden = flag.Bool("parity.update", false, "write what the real node does into the golden files")

const (
	parityDir = "testdata/parity"
	// settled is for how long nothing may change before a scene counts as over.
	settled = 3 * time.Second
	machine = "machine"
)

// play is a machine on one of the two kinds of node, of which the same is asked.
type play struct {
	*framework.Environment
	recorder *parity.Recorder
	allowed  []parity.Difference
	used     []bool
}

// scene is one thing that is done to a machine.
type scene struct {
	name string
	do   func(p *play)
	// over says what is missing until the scene is over.
	over func(p *play, before *v1beta1.VirtualServer, now *v1beta1.VirtualServer) string
}

// TestSimulatedNodesDoAsRealOnesDo plays the same on whatever nodes there are, and holds what the objects go through against
// what real nodes did. Golden files are written by -parity.update on real nodes.
func TestSimulatedNodesDoAsRealOnesDo(t *testing.T) {
	for name, scenes := range plays() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlay(t)
			for _, scene := range scenes {
				over := false
				t.Run(scene.name, func(t *testing.T) {
					got := p.show(t, name+"-"+scene.name, scene)
					over = true
					p.compare(t, name+"-"+scene.name, got)
				})
				if !over {
					return
				}
			}
		})
	}
}

func newPlay(t *testing.T) *play {
	t.Helper()
	e := framework.New(t)
	if *updateGolden {
		require.True(t, e.Plane.RealNodes(), "golden files are those of real nodes")
	} else if os.Getenv("PARITY") == "" {
		t.Skip("plays every scene, which takes long: make test-parity")
	}
	text, err := os.ReadFile(filepath.Join(parityDir, "differences.yaml"))
	require.NoError(t, err)
	allowed, err := parity.ParseDifferences(text)
	require.NoError(t, err)
	recorder, err := parity.Record(e.Context, e.Dynamic, e.Namespace)
	require.NoError(t, err)
	return &play{Environment: e, recorder: recorder, allowed: allowed, used: make([]bool, len(allowed))}
}

// show plays a scene and returns what the objects went through.
func (p *play) show(t *testing.T, name string, s scene) parity.Recording {
	t.Helper()
	copied := *p
	copied.Environment = withT(p.Environment, t)
	p = &copied
	before, err := p.Client().Get(p.Context, machine, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		require.NoError(t, err)
	}
	s.do(p)
	p.Within(bootTimeout, name+" is over", func() error {
		now, err := p.Client().Get(p.Context, machine, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		if apierrors.IsNotFound(err) {
			now = nil
		}
		if missing := s.over(p, before, now); missing != "" {
			return fmt.Errorf("%s", missing)
		}
		quiet, err := p.recorder.Quiet()
		require.NoError(t, err)
		if quiet < settled {
			return fmt.Errorf("something changed %v ago", quiet)
		}
		return nil
	})
	return p.recorder.Cut()
}

func (p *play) compare(t *testing.T, name string, got parity.Recording) {
	t.Helper()
	path := filepath.Join(parityDir, name+".golden")
	if *updateGolden {
		require.NoError(t, os.WriteFile(path, []byte(got.String()), 0o600))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err, "write it with -parity.update on real nodes")
	golden, err := parity.Parse(string(text))
	require.NoError(t, err)
	side := parity.OnlySimulated
	if p.Plane.RealNodes() {
		side = parity.OnlyReal
	}
	for _, line := range parity.Compare(name, golden, got, side, p.allowed, p.used) {
		assert.Fail(t, "not as on a real node, and not in "+parityDir+"/differences.yaml", line)
	}
}

// plays are what is done to three machines.
func plays() map[string][]scene {
	return map[string][]scene{
		"always": {
			{"create", creating(v1beta1.RunStrategyAlways), runsWithItsAgent},
			{"pause", operating("pause"), hasStatus(v1beta1.StatusPaused)},
			{"unpause", operating("unpause"), hasStatus(v1beta1.StatusRunning)},
			{"migrate", migrating, ranElsewhere},
			{"restart", operating("restart"), runsWithItsAgent},
			{"kill", killing, runsWithItsAgent},
			{"shutdown", shuttingDown, runsWithItsAgent},
			{"stop", operating("stop"), hasStopped},
			{"start", operating("start"), runsWithItsAgent},
			{"delete", deleting, isGone},
		},
		"rerun": {
			{"create", creating(v1beta1.RunStrategyRerunOnFailure), runsWithItsAgent},
			{"shutdown", shuttingDown, hasStopped},
			{"start", operating("start"), runsWithItsAgent},
			{"evict", evicting, runsWithItsAgent},
		},
		"missing-image": {
			{"create", func(p *play) {
				p.Create(p.small(func(vs *v1beta1.VirtualServer) {
					vs.Spec.Storage.Root.Source.HTTP.URL = p.imageURL("does-not-exist.img")
				}))
			}, func(_ *play, _, now *v1beta1.VirtualServer) string {
				imported := meta.FindStatusCondition(now.Status.Conditions, v1beta1.ConditionDataImported)
				if imported == nil || imported.Reason != "ImportError" || now.Status.Import.Restarts < 2 {
					return "it has not failed twice"
				}
				return ""
			}},
			{"delete", deleting, isGone},
		},
	}
}

func (p *play) small(edits ...func(*v1beta1.VirtualServer)) *v1beta1.VirtualServer {
	if p.Plane.RealNodes() {
		return small(p.Environment, machine, edits...)
	}
	return framework.Minimal(machine, edits...)
}

func (p *play) imageURL(name string) string {
	if p.Plane.RealNodes() {
		return p.Plane.GuestURL(name)
	}
	return "https://images.example.com/" + name
}

func creating(strategy v1beta1.RunStrategy) func(p *play) {
	return func(p *play) {
		p.Create(p.small(framework.WithStrategy(strategy), func(vs *v1beta1.VirtualServer) {
			vs.Spec.Storage.Root.PVC.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
		}))
	}
}

func operating(operation string) func(p *play) {
	return func(p *play) { p.MustOperate(machine, operation) }
}

func migrating(p *play) {
	p.T.Helper()
	must(p.Environment, "kubectl", "virt", "-n", p.Namespace, "migrate", p.MachineName(machine))
}

func killing(p *play) {
	p.T.Helper()
	if p.Plane.RealNodes() {
		killQEMU(p.Environment, p.MachineName(machine))
	} else {
		p.GuestFault(p.MachineName(machine), "crash")
	}
}

func shuttingDown(p *play) {
	p.T.Helper()
	if p.Plane.RealNodes() {
		boot(p.Environment, machine, "").send("poweroff")
	} else {
		p.GuestFault(p.MachineName(machine), "shutdown")
	}
}

// evicting has the launcher's pod evicted, as a drain does.
func evicting(p *play) {
	p.T.Helper()
	uid := p.Get(machine).Status.VM.InstanceUID
	pods, err := p.Kube.CoreV1().Pods(p.Namespace).List(p.Context, metav1.ListOptions{LabelSelector: "kubevirt.io/created-by=" + string(uid)})
	require.NoError(p.T, err)
	require.Len(p.T, pods.Items, 1)
	require.NoError(p.T, p.Kube.CoreV1().Pods(p.Namespace).Delete(p.Context, pods.Items[0].Name, metav1.DeleteOptions{}))
}

func deleting(p *play) {
	p.T.Helper()
	require.NoError(p.T, p.Client().Delete(p.Context, machine, metav1.DeleteOptions{}))
}

func instanceOf(vs *v1beta1.VirtualServer) types.UID {
	if vs == nil {
		return ""
	}
	return vs.Status.VM.InstanceUID
}

func runsWithItsAgent(_ *play, before, now *v1beta1.VirtualServer) string {
	agent := now.Status.GuestAgent
	switch {
	case now.Status.PrintableStatus != v1beta1.StatusRunning || instanceOf(now) == instanceOf(before):
		return "no new instance runs"
	case agent == nil || agent.InstanceUID != instanceOf(now):
		return "its guest agent has not answered"
	}
	return ""
}

func ranElsewhere(_ *play, before, now *v1beta1.VirtualServer) string {
	if now.Status.PrintableStatus != v1beta1.StatusRunning || now.Status.Node == before.Status.Node {
		return "it does not run on another node"
	}
	return ""
}

func hasStatus(want v1beta1.PrintableStatus) func(*play, *v1beta1.VirtualServer, *v1beta1.VirtualServer) string {
	return func(_ *play, _, now *v1beta1.VirtualServer) string {
		if now.Status.PrintableStatus != want {
			return "not " + string(want)
		}
		return ""
	}
}

func hasStopped(p *play, _, now *v1beta1.VirtualServer) string {
	if now.Status.PrintableStatus != v1beta1.StatusStopped || p.Instance(now.Status.VM.Name) != nil {
		return "it has not stopped"
	}
	return ""
}

func isGone(p *play, before, now *v1beta1.VirtualServer) string {
	if now != nil || p.Instance(before.Status.VM.Name) != nil {
		return "something is left"
	}
	return ""
}
