package virtualserver

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/klog/v2/textlogger"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func cacheAt(version string) cache.SharedIndexInformer {
	informer := cache.NewSharedIndexInformer(&cache.ListWatch{}, &v1beta1.VirtualServer{}, 0, cache.Indexers{})
	informer.GetIndexer().Bookmark(version)
	return informer
}

func at(version string) *metav1.ObjectMeta { return &metav1.ObjectMeta{ResourceVersion: version} }

func TestAPassWaitsForWhatHasBeenSeen(t *testing.T) {
	for name, test := range map[string]struct {
		cached string
		noted  []string
		later  string
		waits  bool
		after  bool
	}{
		"the cache is as new":                    {cached: "7", noted: []string{"7"}},
		"the cache is newer":                     {cached: "10", noted: []string{"9"}},
		"the cache is older":                     {cached: "9", noted: []string{"10"}, waits: true, after: true},
		"the cache gets there":                   {cached: "9", noted: []string{"10"}, later: "10", waits: true},
		"something later comes first":            {cached: "9", noted: []string{"10"}, later: "12", waits: true},
		"two writes, the cache has one":          {cached: "9", noted: []string{"10", "11"}, later: "10", waits: true, after: true},
		"an old object was read after a write":   {cached: "9", noted: []string{"11", "10"}, later: "10", waits: true, after: true},
		"the kind is not installed":              {cached: "", noted: []string{"5"}},
		"a version that says nothing":            {cached: "5", noted: []string{""}},
		"a cache of a server without versions":   {cached: "0", noted: []string{"5"}},
		"versions of different length, unlike a": {cached: "99", noted: []string{"100"}, later: "101", waits: true},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1000, 0)
			informer := cacheAt(test.cached)
			memory := (&memories{}).of(cache.ObjectName{Name: "web"})
			for _, version := range test.noted {
				memory.note(informer, at(version), now)
			}
			assert.Equal(t, test.waits, memory.waits(now))
			if test.later != "" {
				informer.GetIndexer().Bookmark(test.later)
			}
			assert.Equal(t, test.after, memory.waits(now))
			assert.False(t, memory.waits(now.Add(patience)), "it does not wait for ever")
			assert.Empty(t, memory.unseen)
		})
	}
}

// A store that was restored has lower versions than what was written before.
func TestPatienceStartsAnewAfterTheCachesGotThere(t *testing.T) {
	start := time.Unix(1000, 0)
	informer := cacheAt("9")
	memory := (&memories{}).of(cache.ObjectName{Name: "web"})
	memory.note(informer, at("10"), start)
	informer.GetIndexer().Bookmark("10")
	require.False(t, memory.waits(start))
	memory.note(informer, at("11"), start.Add(patience))
	assert.True(t, memory.waits(start.Add(patience+time.Second)))
}

func TestAPassOnOldCachesDoesNothing(t *testing.T) {
	b := newBench(t, testServer())
	b.settle("web")
	vs := b.server("web")
	vs.Spec.Network.TCP = []int32{80, 443}
	b.update(vs)
	b.fill()
	key := cache.ObjectName{Namespace: testNamespace, Name: "web"}
	newer := &kubevirtv1.VirtualMachine{ObjectMeta: *at("100000")}
	b.memories.of(key).note(b.caches.machines, newer, b.clock.Now())

	result, _, err := b.passOnOldCaches("web")
	require.NoError(t, err)
	assert.Equal(t, outcome{waits: true, again: unseenDelay}, result)
	assert.Empty(t, b.writes())

	b.caches.machines.GetIndexer().Bookmark("100001")
	_, _, err = b.passOnOldCaches("web")
	require.NoError(t, err)
	assert.Contains(t, b.writes(), "patch services")
}

// Whoever reads the metric or the log looks for what needs a person. A lost race does not.
func TestALostRaceIsNoFailure(t *testing.T) {
	servers := v1beta1.Resource("virtualservers")
	conflict := apierrors.NewConflict(servers, "web", errors.New("the object has been modified"))
	for name, test := range map[string]struct {
		err     error
		counted string
	}{
		"a status was written meanwhile": {fmt.Errorf("write the status: %w", conflict), ""},
		"a conflict first of several":    {errors.Join(conflict, errors.New("another")), ""},
		"a precondition of a delete":     {failed("delete DataVolume x", apierrors.NewConflict(servers, "x", errors.New("Precondition failed"))), ""},
		"a right is missing":             {apierrors.NewForbidden(servers, "web", errors.New("no")), reasonForbidden},
		"a conflict after what counts":   {errors.Join(apierrors.NewForbidden(servers, "web", errors.New("no")), conflict), reasonForbidden},
		"it is refused":                  {apierrors.NewBadRequest("no"), reasonRefused},
		"the server does not answer":     {errors.New("connection refused"), reasonFailed},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, testServer())
			b.metrics.failures.Create(nil)
			var log bytes.Buffer
			b.tell(textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log))), test.err)
			for _, reason := range []string{reasonForbidden, reasonRefused, reasonFailed, "Conflict"} {
				counted, err := testutil.GetCounterMetricValue(b.metrics.failures.WithLabelValues(reason))
				require.NoError(t, err)
				assert.Equal(t, reason == test.counted, counted == 1, "%s: %v", reason, counted)
			}
			assert.Equal(t, test.counted == "", log.Len() == 0, log.String())
		})
	}
}
