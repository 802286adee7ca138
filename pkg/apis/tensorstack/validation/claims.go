package validation

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// ClaimUse is how a machine uses a PersistentVolumeClaim.
type ClaimUse struct {
	// ClaimName is the claim, in the namespace of the VirtualServer.
	ClaimName string
	// Path is the disk or filesystem.
	Path *field.Path
	// Filesystem is true for a filesystem, which any number of machines may share, and false for a disk, of which a guest
	// believes that nobody else writes to it.
	Filesystem bool
	// Writes is true if what the guest writes reaches the claim.
	Writes bool
}

// ClaimUses returns how a machine uses claims beside one that was made for it, in the order of the spec. path is that of the
// storage.
func ClaimUses(storage *tensorstack.Storage, path *field.Path) []ClaimUse {
	var uses []ClaimUse
	add := func(volume *tensorstack.VolumeSource, path *field.Path, filesystem bool) {
		if claim := volume.PersistentVolumeClaim; claim != nil {
			uses = append(uses, ClaimUse{claim.ClaimName, path, filesystem, !claim.ReadOnly})
		}
		if ephemeral := volume.Ephemeral; ephemeral != nil && ephemeral.PersistentVolumeClaim != nil {
			uses = append(uses, ClaimUse{ephemeral.PersistentVolumeClaim.ClaimName, path, filesystem, false})
		}
	}
	if claim := storage.Root.PersistentVolumeClaim; claim != nil {
		uses = append(uses, ClaimUse{claim.ClaimName, path.Child("root"), false, !storage.Root.Ephemeral})
	}
	for i := range storage.AdditionalDisks {
		add(&storage.AdditionalDisks[i].VolumeSource, path.Child("additionalDisks").Index(i), false)
	}
	for i := range storage.Filesystems {
		add(&storage.Filesystems[i].VolumeSource, path.Child("filesystems").Index(i), true)
	}
	return uses
}

// validateClaimUses refuses a claim that is two disks of one machine if the guest can write to one of them: each disk has a
// filesystem of its own in the guest's eyes, and both damage it. QEMU does not even start such a machine if the storage
// has locks.
func validateClaimUses(storage *tensorstack.Storage, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	disks := map[string]ClaimUse{}
	for _, use := range ClaimUses(storage, path) {
		if use.Filesystem || use.ClaimName == "" {
			continue
		}
		first, found := disks[use.ClaimName]
		if !found {
			disks[use.ClaimName] = use
			continue
		}
		if use.Writes || first.Writes {
			errs = append(errs, field.Forbidden(use.Path, fmt.Sprintf("the PersistentVolumeClaim %q is %s already, and two disks on one claim "+
				"destroy what is on it: keep one of the two, make both readOnly or ephemeral, or share it as a filesystem", use.ClaimName, first.Path)))
		}
	}
	return errs
}

// claimWarnings finds a claim that is a disk and a filesystem of the same machine: the filesystem shows the very file that
// the disk consists of.
func claimWarnings(storage *tensorstack.Storage, path *field.Path) []string {
	var warnings []string
	disks := map[string]ClaimUse{}
	for _, use := range ClaimUses(storage, path) {
		if !use.Filesystem {
			disks[use.ClaimName] = use
			continue
		}
		if disk, found := disks[use.ClaimName]; found && use.Writes {
			warnings = append(warnings, fmt.Sprintf("%s: the PersistentVolumeClaim %q is also %s, and the guest can overwrite the file that is that "+
				"disk: set readOnly here", use.Path, use.ClaimName, disk.Path))
		}
	}
	return warnings
}

// Key names the claim and the manner of its use, for an index.
func (u ClaimUse) Key() string { return u.manner() + u.ClaimName }

func (u ClaimUse) manner() string {
	switch {
	case u.Filesystem && u.Writes:
		return sharedManner
	case u.Filesystem:
		return shownManner
	case u.Writes:
		return writtenManner
	default:
		return readManner
	}
}

// The manners of using a claim.
const (
	writtenManner = "written:"
	readManner    = "read:"
	sharedManner  = "shared:"
	shownManner   = "shown:"
)

// Rivals are the keys of the uses by other machines with which this one does not go well together.
func (u ClaimUse) Rivals() []string {
	var manners []string
	switch u.manner() {
	case writtenManner:
		manners = []string{writtenManner, readManner, sharedManner}
	case readManner:
		manners = []string{writtenManner, sharedManner}
	case sharedManner:
		manners = []string{writtenManner, readManner}
	}
	for i := range manners {
		manners[i] += u.ClaimName
	}
	return manners
}
