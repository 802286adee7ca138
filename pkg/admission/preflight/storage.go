package preflight

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// maxLookups bounds how many objects one request asks the cluster for.
const maxLookups = 10

func (p *Plugin) classWarnings(spec *tensorstack.VirtualServerSpec, old *tensorstack.VirtualServer, path *field.Path) []string {
	claim, child := &spec.Storage.Root.PVC, path.Child("storageClassName")
	if claim.StorageClassName == nil {
		return p.defaultClassWarnings(child)
	}
	if *claim.StorageClassName == "" {
		if old != nil {
			return nil
		}
		return []string{fmt.Sprintf("%s: is empty, which asks for a volume that an administrator has made by hand: the root disk waits "+
			"until there is one that fits; leave the field out for the default StorageClass", child)}
	}
	class, err := p.classes.Get(*claim.StorageClassName)
	if apierrors.IsNotFound(err) {
		return []string{fmt.Sprintf("%s: there is no StorageClass %q: the root disk waits until there is one", child, *claim.StorageClassName)}
	}
	if err != nil || old == nil || claim.Size.Cmp(old.Spec.Storage.Root.PVC.Size) <= 0 {
		return nil
	}
	if class.AllowVolumeExpansion == nil || !*class.AllowVolumeExpansion {
		return []string{fmt.Sprintf("%s: the StorageClass %q does not let volumes grow: the root disk keeps its size", path.Child("size"), class.Name)}
	}
	return nil
}

func (p *Plugin) defaultClassWarnings(path *field.Path) []string {
	classes, err := p.classes.List(labels.Everything())
	if err != nil {
		return nil
	}
	for _, class := range classes {
		if translate.IsDefaultClass(class.Annotations) {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: the cluster has no default StorageClass: the root disk waits until there is one, so name a class here", path)}
}

func (p *Plugin) claimWarnings(namespace string, spec *tensorstack.VirtualServerSpec, path *field.Path) []string {
	var warnings []string
	check := func(name string, path *field.Path, filesystem bool) {
		claim, err := p.claims.PersistentVolumeClaims(namespace).Get(name)
		switch {
		case apierrors.IsNotFound(err):
			warnings = append(warnings, fmt.Sprintf("%s: there is no PersistentVolumeClaim %q in this namespace: the machine waits until there is one",
				path, name))
		case err == nil && filesystem && isBlock(claim):
			warnings = append(warnings, fmt.Sprintf("%s: the PersistentVolumeClaim %q is a Block volume and cannot be a filesystem: use it as an "+
				"additional disk", path, name))
		}
	}
	// Only claims of this namespace: of others, the user may not know what exists.
	if source := spec.Storage.Root.Source.PVC; source != nil && source.Namespace == namespace {
		check(source.Name, path.Child("root", "source", "pvc"), false)
	}
	if claim := spec.Storage.Root.PersistentVolumeClaim; claim != nil {
		check(claim.ClaimName, path.Child("root", "persistentVolumeClaim"), false)
	}
	for i := range spec.Storage.AdditionalDisks {
		child := path.Child("additionalDisks").Index(i)
		checkClaim(&spec.Storage.AdditionalDisks[i].VolumeSource, func(name string) { check(name, child, false) })
	}
	for i := range spec.Storage.Filesystems {
		child := path.Child("filesystems").Index(i)
		checkClaim(&spec.Storage.Filesystems[i].VolumeSource, func(name string) { check(name, child, true) })
	}
	return warnings
}

func checkClaim(volume *tensorstack.VolumeSource, check func(name string)) {
	if volume.PersistentVolumeClaim != nil {
		check(volume.PersistentVolumeClaim.ClaimName)
	}
	if volume.Ephemeral != nil && volume.Ephemeral.PersistentVolumeClaim != nil {
		check(volume.Ephemeral.PersistentVolumeClaim.ClaimName)
	}
}

// lookupWarnings asks for ConfigMaps and ServiceAccounts. For Secrets see secretWarnings.
func (p *Plugin) lookupWarnings(ctx context.Context, namespace string, spec *tensorstack.VirtualServerSpec, path *field.Path) []string {
	var warnings []string
	lookups := 0
	note := func(err error, kind, name string, path *field.Path) {
		if apierrors.IsNotFound(err) {
			warnings = append(warnings, fmt.Sprintf("%s: there is no %s %q in this namespace: the machine waits until there is one", path, kind, name))
		}
	}
	if name, at := certificates(&spec.Storage.Root.Source, path.Child("root", "source")); name != "" {
		lookups++
		_, err := p.client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
		note(err, "ConfigMap", name, at)
	}
	volumes(&spec.Storage, path, func(volume *tensorstack.VolumeSource, path *field.Path) {
		if lookups >= maxLookups || ctx.Err() != nil {
			return
		}
		if source := volume.ConfigMap; source != nil && (source.Optional == nil || !*source.Optional) {
			lookups++
			_, err := p.client.CoreV1().ConfigMaps(namespace).Get(ctx, source.Name, metav1.GetOptions{})
			note(err, "ConfigMap", source.Name, path.Child("configMap"))
		}
		if source := volume.ServiceAccount; source != nil {
			lookups++
			_, err := p.client.CoreV1().ServiceAccounts(namespace).Get(ctx, source.ServiceAccountName, metav1.GetOptions{})
			note(err, "ServiceAccount", source.ServiceAccountName, path.Child("serviceAccount"))
		}
	})
	return warnings
}
