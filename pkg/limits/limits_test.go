package limits

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func list(pairs ...string) corev1.ResourceList {
	found := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		found[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return found
}

func quota(hard, used corev1.ResourceList) []*corev1.ResourceQuota {
	return []*corev1.ResourceQuota{{ObjectMeta: metav1.ObjectMeta{Name: "q"}, Status: corev1.ResourceQuotaStatus{Hard: hard, Used: used}}}
}

func limitRange(kind corev1.LimitType, least, most corev1.ResourceList) []*corev1.LimitRange {
	return []*corev1.LimitRange{{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Spec: corev1.LimitRangeSpec{
		Limits: []corev1.LimitRangeItem{{Type: kind, Min: least, Max: most}}}}}
}

func TestShortfalls(t *testing.T) {
	size := resource.MustParse("4Gi")
	machine, imports, rest := Machine(resource.MustParse("2Gi"), 2), Import(size, true, Importer()), Remaining(size, true, Importer())
	for name, test := range map[string]struct {
		need   Need
		quotas []*corev1.ResourceQuota
		ranges []*corev1.LimitRange
		want   []string
	}{
		"nothing limits": {need: imports},
		"pods used up": {need: imports, quotas: quota(list("pods", "5"), list("pods", "5")),
			want: []string{`ResourceQuota "q" allows 5 of pods, 5 are used, and the import needs 1`}},
		"memory limits": {need: imports, quotas: quota(list("limits.memory", "1G"), list("limits.memory", "500M")),
			want: []string{`ResourceQuota "q" allows 1G of limits.memory, 500M are used, and the import needs 600M`}},
		"CPU requests": {need: imports, quotas: quota(list("requests.cpu", "50m"), nil),
			want: []string{`ResourceQuota "q" allows 50m of requests.cpu, 0 are used, and the import needs 100m`}},
		"room for the disk but not for scratch space": {need: imports, quotas: quota(list("requests.storage", "6Gi"), nil),
			want: []string{`ResourceQuota "q" allows 6Gi of requests.storage, 0 are used, and the import needs 8Gi`}},
		"the claim is there, no room for scratch space": {need: rest, quotas: quota(list("requests.storage", "6Gi"), list("requests.storage", "4Gi")),
			want: []string{`ResourceQuota "q" allows 6Gi of requests.storage, 4Gi are used, and the import needs 4Gi`}},
		"the claim is there, and room for scratch space": {need: rest, quotas: quota(list("requests.storage", "8Gi"), list("requests.storage", "4Gi"))},
		"one claim only": {need: imports, quotas: quota(list("persistentvolumeclaims", "1"), nil),
			want: []string{`ResourceQuota "q" allows 1 of persistentvolumeclaims, 0 are used, and the import needs 2`}},
		"the overhead of the machine counts": {need: machine, quotas: quota(list("requests.memory", "2Gi"), nil),
			want: []string{`ResourceQuota "q" allows 2Gi of requests.memory, 0 are used, and the machine needs 2312Mi`}},
		"CPU limits of the machine": {need: machine, quotas: quota(list("limits.cpu", "1"), nil),
			want: []string{`ResourceQuota "q" allows 1 of limits.cpu, 0 are used, and the machine needs 2`}},
		"quota with a scope": {need: imports, quotas: []*corev1.ResourceQuota{{Spec: corev1.ResourceQuotaSpec{
			Hard: list("pods", "0"), Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}}}}},
		"quota without a status": {need: imports, quotas: []*corev1.ResourceQuota{{ObjectMeta: metav1.ObjectMeta{Name: "new"},
			Spec: corev1.ResourceQuotaSpec{Hard: list("count/pods", "0")}}},
			want: []string{`ResourceQuota "new" allows 0 of count/pods, 0 are used, and the import needs 1`}},
		"container too large": {need: imports, ranges: limitRange("Container", nil, list("cpu", "200m")),
			want: []string{`LimitRange "r" allows a Container at most 200m of cpu, and the import needs 750m`}},
		"container too small": {need: imports, ranges: limitRange("Container", list("memory", "1Gi"), nil),
			want: []string{`LimitRange "r" wants a Container to have at least 1Gi of memory, and the import has 600M`,
				`LimitRange "r" wants a Container to request at least 1Gi of memory, and the import requests 60M`}},
		"pod too large": {need: machine, ranges: limitRange("Pod", nil, list("memory", "1Gi")),
			want: []string{`LimitRange "r" allows a Pod at most 1Gi of memory, and the machine needs 2312Mi`}},
		"claim too large": {need: imports, ranges: limitRange("PersistentVolumeClaim", nil, list("storage", "1Gi")),
			want: []string{`LimitRange "r" allows a PersistentVolumeClaim at most 1Gi of storage, and the import needs 4Gi`}},
		"claim too small": {need: imports, ranges: limitRange("PersistentVolumeClaim", list("storage", "10Gi"), nil),
			want: []string{`LimitRange "r" wants a PersistentVolumeClaim to have at least 10Gi of storage, and the import has 4Gi`}},
		"everything fits": {need: imports, quotas: quota(list("pods", "1", "limits.cpu", "1", "requests.storage", "8Gi"), nil),
			ranges: limitRange("Container", list("cpu", "10m"), list("cpu", "2"))},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, Shortfalls(test.need, test.quotas, test.ranges)) })
	}
}
