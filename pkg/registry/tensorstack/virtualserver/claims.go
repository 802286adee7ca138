package virtualserver

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/storage"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
)

// fieldClaims holds the keys of the claims of a VirtualServer. The watch cache keeps it beside the object, so that a search for
// claims need not look into objects. Users cannot select by it.
const fieldClaims = "claims"

// claimSeparator is in no name.
const claimSeparator = "\n"

// claimsOf returns the value of fieldClaims: the claim of the root disk among them.
func claimsOf(vs *tensorstack.VirtualServer) string {
	var keys []string
	for _, use := range validation.ClaimUses(&vs.Spec.Storage, nil) {
		keys = append(keys, use.Key())
	}
	if validation.MakesRootDisk(&vs.Spec.Storage.Root) && vs.Status.VM.Name != "" {
		keys = append(keys, validation.ClaimUse{ClaimName: vs.Status.VM.Name, Writes: !vs.Spec.Storage.Root.Ephemeral}.Key())
	}
	return strings.Join(keys, claimSeparator)
}

// MatchClaims returns the predicate of the VirtualServers that have one of these keys of claims. See validation.ClaimUse.
func MatchClaims(keys []string) storage.SelectionPredicate {
	return storage.SelectionPredicate{
		Label: labels.Everything(), Field: claimSelector{Selector: fields.Everything(), keys: sets.New(keys...)}, GetAttrs: GetAttrs,
	}
}

// claimSelector selects by fieldClaims, which has several values.
type claimSelector struct {
	fields.Selector
	keys sets.Set[string]
}

// Matches implements fields.Selector.
func (s claimSelector) Matches(found fields.Fields) bool {
	claims := found.Get(fieldClaims)
	return claims != "" && slices.ContainsFunc(strings.Split(claims, claimSeparator), s.keys.Has)
}

// Empty implements fields.Selector: it selects something.
func (claimSelector) Empty() bool { return false }

// DeepCopySelector implements fields.Selector. The keys never change.
func (s claimSelector) DeepCopySelector() fields.Selector { return s }

// Transform implements fields.Selector: there is nothing to rename.
func (s claimSelector) Transform(fields.TransformFunc) (fields.Selector, error) { return s, nil }
