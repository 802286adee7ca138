package status

import (
	"fmt"
	"strings"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Kinds of objects that a spec names.
const (
	KindClaim          = "PersistentVolumeClaim"
	KindConfigMap      = "ConfigMap"
	KindSecret         = "Secret"
	KindServiceAccount = "ServiceAccount"
)

// Reference is an object of the same namespace that the machine needs to start.
type Reference struct {
	// Kind is one of the kinds above, and Name its name.
	Kind, Name string
	// Field is the path in the VirtualServer that names it.
	Field string
	// Key is the key that the object must have, or empty.
	Key string
}

// cloudInitKey is the key of a Secret that holds user data.
const cloudInitKey = "userdata"

// HasKey says whether a Secret has what the reference needs. For user data KubeVirt also takes a key with a capital
// (resolveNoCloudSecrets in its pkg/cloud-init).
func (r Reference) HasKey(data map[string][]byte) bool {
	_, found := data[r.Key]
	_, other := data["userData"]
	return r.Key == "" || found || r.Key == cloudInitKey && other
}

// References returns what the machine needs to start, in the order of the spec, without what is optional.
func References(spec *v1beta1.VirtualServerSpec) []Reference {
	var found []Reference
	if ref := spec.CloudInitSecretRef; ref != nil {
		found = append(found, Reference{Kind: KindSecret, Name: ref.Name, Field: "spec.cloudInitSecretRef", Key: cloudInitKey})
	}
	if claim := spec.Storage.Root.PersistentVolumeClaim; claim != nil {
		found = append(found, Reference{Kind: KindClaim, Name: claim.ClaimName, Field: "spec.storage.root.persistentVolumeClaim"})
	}
	if keys := spec.SSHKeys; keys != nil {
		found = append(found, Reference{Kind: KindSecret, Name: keys.SecretRef.Name, Field: "spec.sshKeys.secretRef"})
	}
	for i := range spec.Storage.AdditionalDisks {
		found = append(found, referencesOf(&spec.Storage.AdditionalDisks[i].VolumeSource, fmt.Sprintf("spec.storage.additionalDisks[%d]", i))...)
	}
	for i := range spec.Storage.Filesystems {
		found = append(found, referencesOf(&spec.Storage.Filesystems[i].VolumeSource, fmt.Sprintf("spec.storage.filesystems[%d]", i))...)
	}
	return found
}

func referencesOf(volume *v1beta1.VolumeSource, field string) []Reference {
	needed := func(optional *bool) bool { return optional == nil || !*optional }
	switch {
	case volume.PersistentVolumeClaim != nil:
		return []Reference{{Kind: KindClaim, Name: volume.PersistentVolumeClaim.ClaimName, Field: field + ".persistentVolumeClaim"}}
	case volume.Ephemeral != nil && volume.Ephemeral.PersistentVolumeClaim != nil:
		return []Reference{{Kind: KindClaim, Name: volume.Ephemeral.PersistentVolumeClaim.ClaimName, Field: field + ".ephemeral.persistentVolumeClaim"}}
	case volume.ConfigMap != nil && needed(volume.ConfigMap.Optional):
		return []Reference{{Kind: KindConfigMap, Name: volume.ConfigMap.Name, Field: field + ".configMap"}}
	case volume.Secret != nil && needed(volume.Secret.Optional):
		return []Reference{{Kind: KindSecret, Name: volume.Secret.SecretName, Field: field + ".secret"}}
	case volume.ServiceAccount != nil:
		return []Reference{{Kind: KindServiceAccount, Name: volume.ServiceAccount.ServiceAccountName, Field: field + ".serviceAccount"}}
	default:
		return nil
	}
}

// Absence is a reference that leads nowhere, or to a claim without a volume.
type Absence struct {
	Reference
	// NoKey says that the object exists, but lacks the key; Unbound that it is a claim that is not bound.
	NoKey, Unbound bool
}

func (a Absence) text() string {
	switch {
	case a.NoKey:
		return fmt.Sprintf("%s %s has no key %q, which %s needs", a.Kind, a.Name, a.Key, a.Field)
	case a.Unbound:
		return fmt.Sprintf("%s %s, which %s names, is not bound to a volume yet", a.Kind, a.Name, a.Field)
	default:
		return fmt.Sprintf("%s %s does not exist, which %s names", a.Kind, a.Name, a.Field)
	}
}

func (a Absence) reason() string {
	if a.Kind == KindClaim {
		return ReasonClaimNotFound
	}
	return a.Kind + "NotFound"
}

// absent returns what keeps the machine from starting because it does not exist, or nil.
func (f *facts) absent() *Absence {
	if !f.startsUp() {
		return nil
	}
	for i := range f.Absences {
		if !f.Absences[i].Unbound {
			return &f.Absences[i]
		}
	}
	return nil
}

// unbound returns a claim of the spec that is not bound, or nil.
func (f *facts) unbound() *Absence {
	if !f.startsUp() {
		return nil
	}
	for i := range f.Absences {
		if f.Absences[i].Unbound {
			return &f.Absences[i]
		}
	}
	return nil
}

// blocked returns what keeps an instance from starting that does not go away by itself, or what is being prepared for it, or
// nothing.
func (f *facts) blocked() (reason, message string) {
	if absent := f.absent(); absent != nil {
		return absent.reason(), sentence(absent.text()) + " The machine waits for it."
	}
	if f.startsUp() && f.Copying != "" {
		return ReasonCopyingFilesystem, f.Copying
	}
	if text := f.nodeRefusal(); text != "" {
		return ReasonSyncFailed, text
	}
	if !f.startsUp() || f.synchronizedText() == "" {
		return "", ""
	}
	text := f.synchronizedText()
	return refusal(text), text
}

// refusal returns the reason that the words of KubeVirt and Kubernetes about a pod that cannot be made amount to, or nothing. The
// words are in KubeVirt's pkg/virt-controller/services/renderresources.go and in Kubernetes' plugin/pkg/admission.
func refusal(text string) string {
	lower := strings.ToLower(text)
	for _, known := range []struct {
		reason string
		signs  []string
	}{
		{ReasonHostDeviceNotPermitted, []string{"not permitted in permittedhostdevices"}},
		{ReasonQuotaExceeded, []string{"exceeded quota", "failed quota"}},
		{ReasonLimitExceeded, []string{"usage per container is", "usage per pod is", "limit to request ratio", "usage per persistentvolumeclaim is"}},
		{ReasonPodRefused, []string{"is forbidden", "denied the request", "violates podsecurity", "is invalid"}},
	} {
		for _, sign := range known.signs {
			if strings.Contains(lower, sign) {
				return known.reason
			}
		}
	}
	return ""
}
