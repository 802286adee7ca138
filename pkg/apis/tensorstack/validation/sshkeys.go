package validation

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/cloudinit"
)

const (
	// keysVolumeSuffix is what KubeVirt appends to the name of a Secret of keys to get the name of the volume that holds it
	// (withAccessCredentials in its pkg/virt-controller/services).
	keysVolumeSuffix = "-access-cred"
	// MaxSSHKeysSecretName is how long the name of a Secret of keys may be.
	MaxSSHKeysSecretName = validation.DNS1123LabelMaxLength - len(keysVolumeSuffix)
	// MaxSSHUsers is how many users of the guest may get the keys.
	MaxSSHUsers = 16
)

// userPattern is what a user of a guest may be called. A dash in front would be an option of the commands that the guest agent
// runs.
var userPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,62}$`)

func validateSSHKeys(spec *tensorstack.VirtualServerSpec, path *field.Path) field.ErrorList {
	keys := spec.SSHKeys
	if keys == nil {
		return nil
	}
	errs := validateKeysSecret(spec, path.Child("secretRef", "name"))
	users := path.Child("users")
	if len(keys.Users) > MaxSSHUsers {
		return append(errs, field.TooMany(users, len(keys.Users), MaxSSHUsers))
	}
	seen := map[string]bool{}
	for i, user := range keys.Users {
		switch {
		case !userPattern.MatchString(user):
			errs = append(errs, field.Invalid(users.Index(i), user, "must be the name of a user of the guest, such as ubuntu"))
		case seen[user]:
			errs = append(errs, field.Duplicate(users.Index(i), user))
		}
		seen[user] = true
	}
	return errs
}

// validateKeysSecret keeps the pod of the machine valid, in which the name of the Secret becomes the name of a volume.
func validateKeysSecret(spec *tensorstack.VirtualServerSpec, path *field.Path) field.ErrorList {
	name := spec.SSHKeys.SecretRef.Name
	if errs := validateObjectName(name, "Secret with the public keys", path); len(errs) > 0 {
		return errs
	}
	if len(name) > MaxSSHKeysSecretName || strings.Contains(name, ".") {
		return field.ErrorList{field.Invalid(path, name, fmt.Sprintf("must have at most %d characters and no dot, because KubeVirt makes "+
			"the name of a volume of it", MaxSSHKeysSecretName))}
	}
	taken := func(other string) field.ErrorList {
		if other != name+keysVolumeSuffix {
			return nil
		}
		return field.ErrorList{field.Invalid(path, name, fmt.Sprintf("KubeVirt makes a volume %q of it, and a disk or filesystem has that name: "+
			"rename one of the two", other))}
	}
	var errs field.ErrorList
	for i := range spec.Storage.AdditionalDisks {
		errs = append(errs, taken(spec.Storage.AdditionalDisks[i].Name)...)
	}
	for i := range spec.Storage.Filesystems {
		errs = append(errs, taken(spec.Storage.Filesystems[i].Name)...)
	}
	return errs
}

// sshKeysWarnings tells of user data that keeps cloud-init from giving the keys to anybody.
func sshKeysWarnings(spec *tensorstack.VirtualServerSpec, path *field.Path) []string {
	if spec.SSHKeys == nil || len(spec.SSHKeys.Users) > 0 {
		return nil
	}
	if why := cloudinit.Parse(spec.CloudInit).IgnoresPublicKeys(); why != "" {
		return []string{fmt.Sprintf("%s: nobody gets the keys, because %s %s", path, path.Root().Child("cloudInit"), why)}
	}
	return nil
}
