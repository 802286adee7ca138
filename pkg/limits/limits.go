// Package limits compares what a machine and its import need with what the ResourceQuotas and LimitRanges of a namespace allow.
// CDI says of a quota only that it is exceeded, and of a LimitRange nothing at all.
package limits

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Need is what somebody needs.
type Need struct {
	// Who needs it, such as "the import".
	Who string
	// Quota is what counts against quotas, by the names that quotas use.
	Quota corev1.ResourceList
	// Requests and Limits are those of the largest container.
	Requests, Limits corev1.ResourceList
	// Claims are the sizes of the claims.
	Claims []resource.Quantity
}

// Shortfalls says for each quota and each LimitRange that does not allow what is needed how much it allows. Quotas with scopes
// are left out: which pods they count depends on fields that others set.
func Shortfalls(need Need, quotas []*corev1.ResourceQuota, ranges []*corev1.LimitRange) []string {
	var texts []string
	for _, quota := range sorted(quotas, func(q *corev1.ResourceQuota) string { return q.Name }) {
		texts = append(texts, quotaShortfalls(need, quota)...)
	}
	for _, limits := range sorted(ranges, func(r *corev1.LimitRange) string { return r.Name }) {
		for i := range limits.Spec.Limits {
			texts = append(texts, rangeShortfalls(need, limits.Name, &limits.Spec.Limits[i])...)
		}
	}
	return texts
}

func sorted[T any](objects []*T, name func(*T) string) []*T {
	objects = slices.Clone(objects)
	slices.SortFunc(objects, func(a, b *T) int { return strings.Compare(name(a), name(b)) })
	return objects
}

func quotaShortfalls(need Need, quota *corev1.ResourceQuota) []string {
	if len(quota.Spec.Scopes) > 0 || quota.Spec.ScopeSelector != nil {
		return nil
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(need.Quota)) {
		// A quota that was just made has no status yet.
		hard, limited := quota.Status.Hard[name]
		if !limited {
			hard, limited = quota.Spec.Hard[name]
		}
		if !limited {
			continue
		}
		used, needed := quota.Status.Used[name], need.Quota[name]
		left := hard.DeepCopy()
		left.Sub(used)
		if left.Cmp(needed) < 0 {
			texts = append(texts, fmt.Sprintf("ResourceQuota %q allows %s of %s, %s are used, and %s needs %s",
				quota.Name, hard.String(), name, used.String(), need.Who, needed.String()))
		}
	}
	return texts
}

func rangeShortfalls(need Need, name string, item *corev1.LimitRangeItem) []string {
	var texts []string
	compare := func(wanted corev1.ResourceList) {
		for _, of := range slices.Sorted(maps.Keys(wanted)) {
			asked := wanted[of]
			if most, limited := item.Max[of]; limited && asked.Cmp(most) > 0 {
				texts = append(texts, fmt.Sprintf("LimitRange %q allows a %s at most %s of %s, and %s needs %s",
					name, item.Type, most.String(), of, need.Who, asked.String()))
			}
			if least, limited := item.Min[of]; limited && asked.Cmp(least) < 0 {
				texts = append(texts, fmt.Sprintf("LimitRange %q wants a %s to have at least %s of %s, and %s has %s",
					name, item.Type, least.String(), of, need.Who, asked.String()))
			}
		}
	}
	switch item.Type {
	case corev1.LimitTypeContainer, corev1.LimitTypePod:
		compare(need.Limits)
		for of := range need.Limits {
			if _, again := need.Requests[of]; again {
				// The request is smaller, so that it can be below the least only.
				asked := need.Requests[of]
				if least, limited := item.Min[of]; limited && asked.Cmp(least) < 0 {
					texts = append(texts, fmt.Sprintf("LimitRange %q wants a %s to request at least %s of %s, and %s requests %s",
						name, item.Type, least.String(), of, need.Who, asked.String()))
				}
			}
		}
	case corev1.LimitTypePersistentVolumeClaim:
		for _, size := range need.Claims {
			compare(corev1.ResourceList{corev1.ResourceStorage: size})
		}
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}
