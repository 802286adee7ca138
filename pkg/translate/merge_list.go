package translate

import "k8s.io/apimachinery/pkg/util/sets"

// mergeNamed merges a list whose entries have names. Wanted entries come first and in the wanted order, because the order
// of disks decides their names in the guest. Each is merged into the live entry of the same name, or taken as it is.
// Live entries of others follow in their order. Live entries that are not wanted, but were ours, go.
func mergeNamed[T any](live, want []T, name func(T) string, ours sets.Set[string], merge func(live, want T) T) []T {
	liveByName := make(map[string]T, len(live))
	for _, entry := range live {
		liveByName[name(entry)] = entry
	}
	wanted := sets.New[string]()
	merged := make([]T, 0, len(live)+len(want))
	for _, entry := range want {
		wanted.Insert(name(entry))
		if old, found := liveByName[name(entry)]; found {
			entry = merge(old, entry)
		}
		merged = append(merged, entry)
	}
	for _, entry := range live {
		if !wanted.Has(name(entry)) && !ours.Has(name(entry)) {
			merged = append(merged, entry)
		}
	}
	if len(merged) == 0 {
		return live[:0:0]
	}
	return merged
}
