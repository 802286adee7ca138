package scratch

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestPlan(t *testing.T) {
	run := func(change func(*Observed)) Observed {
		o := Observed{Template: "next", Instance: &Instance{UID: "a", Claim: "this"}, Method: BySnapshot}
		change(&o)
		return o
	}
	for name, test := range map[string]struct {
		observed Observed
		want     Step
	}{
		"no instance":                     {Observed{Template: "next"}, Nothing},
		"a next run could use the copy":   {run(func(o *Observed) { o.Template = "this" }), AwaitTemplate},
		"nothing is there":                {run(func(*Observed) {}), TakeSnapshot},
		"the snapshot is made":            {run(func(o *Observed) { o.Snapshot = &Snapshot{Owner: "a"} }), AwaitSnapshot},
		"the snapshot is ready":           {run(func(o *Observed) { o.Snapshot = &Snapshot{Owner: "a", Ready: true} }), MakeCopy},
		"the snapshot is another run's":   {run(func(o *Observed) { o.Snapshot = &Snapshot{Owner: "b", Ready: true} }), DropSnapshot},
		"the snapshot goes":               {run(func(o *Observed) { o.Snapshot = &Snapshot{Owner: "a", Going: true} }), AwaitRemoval},
		"no snapshots, nobody writes":     {run(func(o *Observed) { o.Method = Directly }), MakeCopy},
		"no snapshots, somebody writes":   {run(func(o *Observed) { o.Method, o.Writers = Directly, []string{"pod"} }), AwaitWriters},
		"somebody writes to a snapshot's": {run(func(o *Observed) { o.Writers = []string{"pod"} }), TakeSnapshot},
		"the source is not there":         {run(func(o *Observed) { o.Method = Unknown }), AwaitSource},
		"no copy can be made":             {run(func(o *Observed) { o.Method = Impossible }), AwaitSource},
		"the copy is filled": {run(func(o *Observed) {
			o.Copy, o.Snapshot = &Copy{Owner: "a", Filled: true}, &Snapshot{Owner: "a", Ready: true}
		}), DropSnapshot},
		"all is there":                   {run(func(o *Observed) { o.Copy = &Copy{Owner: "a", Filled: true} }), Nothing},
		"the copy is being filled":       {run(func(o *Observed) { o.Copy = &Copy{Owner: "a"} }), AwaitCopy},
		"the copy goes before its use":   {run(func(o *Observed) { o.Copy = &Copy{Owner: "a", Going: true} }), AwaitRemoval},
		"the copy goes while it is used": {run(func(o *Observed) { o.Copy, o.Instance.Placed = &Copy{Owner: "a", Going: true}, true }), Nothing},
		"the copy was deleted in use":    {run(func(o *Observed) { o.Instance.Placed = true }), Nothing},
		"an old name, not used yet":      {run(func(o *Observed) { o.Copy = &Copy{Owner: "b", Filled: true} }), DropCopy},
		"an old name, on its way out":    {run(func(o *Observed) { o.Copy = &Copy{Owner: "b", Going: true} }), AwaitRemoval},
		"an old name, in use":            {run(func(o *Observed) { o.Copy, o.Instance.Placed = &Copy{Owner: "b", Filled: true}, true }), Restart},
		"the run is over": {run(func(o *Observed) {
			o.Instance.Over, o.Copy, o.Snapshot = true, &Copy{Owner: "a", Filled: true}, &Snapshot{Owner: "a"}
		}), DropSnapshot},
		"the run is over, without a snapshot": {run(func(o *Observed) { o.Instance.Over, o.Copy = true, &Copy{Owner: "a"} }), DropCopy},
		"the run is over, the copy goes":      {run(func(o *Observed) { o.Instance.Over, o.Copy = true, &Copy{Owner: "a", Going: true} }), Nothing},
		"the run is over, the copy is another's": {run(func(o *Observed) {
			o.Instance.Over, o.Copy = true, &Copy{Owner: "b"}
		}), Nothing},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, Plan(test.observed)) })
	}
}

func TestForNextRun(t *testing.T) {
	name := func(run string) string { return Name("m", "fs", run) }
	assert.Equal(t, name("new"), ForNextRun("m", "fs", "", "", "", "new"), "the first")
	assert.Equal(t, name("x"), ForNextRun("m", "fs", name("x"), "", "", "new"), "nobody has used it")
	assert.Equal(t, name("a"), ForNextRun("m", "fs", name("x"), name("x"), "a", "new"), "an instance has it")
	assert.Equal(t, name("a"), ForNextRun("m", "fs", name("a"), name("x"), "a", "new"), "it was replaced already")
	assert.Equal(t, name("b"), ForNextRun("m", "fs", name("b"), name("x"), "a", "new"), "the instance was seen late")
	assert.Equal(t, name("new"), ForNextRun("m", "fs", "somebody-elses", "somebody-elses", "a", "new"))
	assert.NotEqual(t, Name("m", "a", "x"), Name("m", "b", "x"))
	assert.LessOrEqual(t, len(Name("managed-virtualserver-abcde", strings.Repeat("f", 54), "x")), 63, "CDI makes labels of it")
	assert.True(t, Is(name("x"), "m", "fs"))
	for _, other := range []string{"", "m", "pvc", Name("m", "other", "x"), name("x") + "0"} {
		assert.False(t, Is(other, "m", "fs"), other)
	}
}

func sourceClaim(change func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}}
	claim.Spec.StorageClassName = ptr.To("fast")
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	if change != nil {
		change(claim)
	}
	return claim
}

func TestMethodFor(t *testing.T) {
	fast := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "csi.example.com"}
	classes := []SnapshotClass{{Name: "b", Driver: "csi.example.com"}, {Name: "a", Driver: "csi.example.com"}, {Name: "0", Driver: "other"}}
	for name, test := range map[string]struct {
		claim   func(*corev1.PersistentVolumeClaim)
		class   *storagev1.StorageClass
		classes []SnapshotClass
		method  Method
		uses    string
		why     string
	}{
		"snapshots":             {nil, fast, classes, BySnapshot, "a", ""},
		"a default":             {nil, fast, append(classes, SnapshotClass{Name: "z", Driver: "csi.example.com", Default: true}), BySnapshot, "z", ""},
		"no snapshots":          {nil, fast, classes[2:], Directly, "", ""},
		"no API of snapshots":   {nil, fast, nil, Directly, "", ""},
		"no such class":         {nil, nil, classes, Impossible, "", "StorageClass fast of PersistentVolumeClaim data does not exist"},
		"volumes made by hand":  {nil, &storagev1.StorageClass{Provisioner: noProvisioner}, classes, Impossible, "", "made by hand"},
		"a volume made by hand": {func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = ptr.To("") }, nil, classes, Impossible, "", "has no StorageClass"},
		"a block volume": {func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock) },
			fast, classes, Impossible, "", "Block volume"},
	} {
		t.Run(name, func(t *testing.T) {
			method, uses, why := MethodFor(sourceClaim(test.claim), test.class, test.classes)
			assert.Equal(t, test.method, method)
			assert.Equal(t, test.uses, uses)
			assert.Contains(t, why, test.why)
			assert.Equal(t, method == Impossible, why != "")
		})
	}
}

func TestSizeFollowsTheSource(t *testing.T) {
	size := func(claim *corev1.PersistentVolumeClaim, restore string) string {
		if restore == "" {
			found := SizeFor(claim, nil)
			return found.String()
		}
		found := SizeFor(claim, ptr.To(resource.MustParse(restore)))
		return found.String()
	}
	grown := sourceClaim(func(c *corev1.PersistentVolumeClaim) {
		c.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")}
	})
	assert.Equal(t, "1Gi", size(sourceClaim(nil), ""))
	assert.Equal(t, "2Gi", size(grown, ""), "it has more than it asked for")
	assert.Equal(t, "3Gi", size(grown, "3Gi"), "the snapshot is larger")
	assert.Equal(t, "2Gi", size(grown, "1Gi"), "it has grown since the snapshot")
	growing := sourceClaim(func(c *corev1.PersistentVolumeClaim) {
		c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("4Gi")
		c.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")}
	})
	assert.Equal(t, "4Gi", size(growing, "2Gi"), "it is about to grow")
}

func TestAccessModesFor(t *testing.T) {
	modes := func(modes ...corev1.PersistentVolumeAccessMode) []corev1.PersistentVolumeAccessMode {
		return AccessModesFor(sourceClaim(func(c *corev1.PersistentVolumeClaim) { c.Spec.AccessModes = modes }))
	}
	assert.Equal(t, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}, modes(corev1.ReadWriteMany))
	assert.Equal(t, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, modes(corev1.ReadOnlyMany))
	assert.Equal(t, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}, modes(corev1.ReadOnlyMany, corev1.ReadWriteOncePod))
}

func TestWritersOf(t *testing.T) {
	pod := func(name string, phase corev1.PodPhase, source corev1.PersistentVolumeClaimVolumeSource, mounts ...corev1.VolumeMount) corev1.Pod {
		made := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.PodStatus{Phase: phase}}
		made.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &source}}}
		made.Spec.Containers = []corev1.Container{{VolumeMounts: mounts}}
		return made
	}
	data := corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}
	writes, reads := corev1.VolumeMount{Name: "v"}, corev1.VolumeMount{Name: "v", ReadOnly: true}
	assert.Equal(t, []string{"a", "pending"}, WritersOf("data", []corev1.Pod{
		pod("pending", corev1.PodPending, data, writes), pod("a", corev1.PodRunning, data, reads, writes),
		pod("ended", corev1.PodSucceeded, data, writes), pod("failed", corev1.PodFailed, data, writes),
		pod("reader", corev1.PodRunning, data, reads),
		pod("read-only", corev1.PodRunning, corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data", ReadOnly: true}, writes),
		pod("other", corev1.PodRunning, corev1.PersistentVolumeClaimVolumeSource{ClaimName: "other"}, writes),
	}))
}
