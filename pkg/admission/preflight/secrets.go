package preflight

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// SetUnconditionalAuthorizer sets who says which Secrets a user may read.
func (p *Plugin) SetUnconditionalAuthorizer(authorizer authorizer.UnconditionalAuthorizer) {
	p.authorizer = authorizer
}

// secretUse is a Secret that the spec names, and the keys that are needed of it: one of each list.
type secretUse struct {
	name string
	path *field.Path
	keys [][]string
	// plain says that a line break at the end of a value is sent along and spoils it.
	plain bool
	// inspect tells what else is wrong with the Secret. It may be nil.
	inspect func(*corev1.Secret) []string
}

// secretWarnings tells of Secrets that are missing, lack a key, or end in a line break. It tells only who may read them: who
// may create pods may still not be meant to learn which Secrets there are.
func (p *Plugin) secretWarnings(ctx context.Context, namespace string, who user.Info, spec *tensorstack.VirtualServerSpec, path *field.Path) []string {
	if p.authorizer == nil || who == nil {
		return nil
	}
	uses := secretUses(spec, path)
	var warnings []string
	for _, use := range uses[:min(len(uses), maxLookups)] {
		if ctx.Err() != nil || !p.mayRead(ctx, namespace, who, use.name) {
			continue
		}
		secret, err := p.client.CoreV1().Secrets(namespace).Get(ctx, use.name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			warnings = append(warnings, fmt.Sprintf("%s: there is no Secret %q in this namespace: the machine waits until there is one", use.path, use.name))
		case err == nil:
			warnings = append(warnings, use.warnings(secret)...)
		}
	}
	return warnings
}

func (p *Plugin) mayRead(ctx context.Context, namespace string, who user.Info, name string) bool {
	decision, _, err := p.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: who, Verb: "get", Namespace: namespace, APIVersion: "v1", Resource: "secrets", Name: name, ResourceRequest: true,
	})
	return err == nil && decision == authorizer.DecisionAllow
}

// warnings never show a value.
func (u secretUse) warnings(secret *corev1.Secret) []string {
	var warnings []string
	for _, keys := range u.keys {
		found := slices.IndexFunc(keys, func(key string) bool { _, there := secret.Data[key]; return there })
		if found < 0 {
			warnings = append(warnings, fmt.Sprintf("%s: the Secret %q has no key %q", u.path, u.name, keys[0]))
		}
	}
	if u.inspect != nil {
		for _, problem := range u.inspect(secret) {
			warnings = append(warnings, fmt.Sprintf("%s: %s", u.path, problem))
		}
	}
	if !u.plain {
		return warnings
	}
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		if value := secret.Data[key]; bytes.HasSuffix(value, []byte("\n")) || bytes.HasSuffix(value, []byte("\r")) {
			warnings = append(warnings, fmt.Sprintf("%s: the key %q of the Secret %q ends in a line break, which is sent along: make it anew, such as "+
				"with printf instead of echo", u.path, key, u.name))
		}
	}
	return warnings
}

// secretUses lists the Secrets of the spec. The keys of sources are those of CDI's documentation of each source.
func secretUses(spec *tensorstack.VirtualServerSpec, path *field.Path) []secretUse {
	var uses []secretUse
	add := func(name string, path *field.Path, plain bool, keys ...[]string) {
		if name != "" {
			uses = append(uses, secretUse{name: name, path: path, keys: keys, plain: plain})
		}
	}
	if ref := spec.CloudInitSecretRef; ref != nil {
		add(ref.Name, path.Child("cloudInitSecretRef"), false, []string{"userdata", "userData"})
	}
	if keys := spec.SSHKeys; keys != nil && keys.SecretRef.Name != "" {
		uses = append(uses, secretUse{name: keys.SecretRef.Name, path: path.Child("sshKeys", "secretRef"), inspect: keyProblems})
	}
	sourceSecrets(&spec.Storage.Root.Source, path.Child("storage", "root", "source"), add)
	volumes(&spec.Storage, path.Child("storage"), func(volume *tensorstack.VolumeSource, path *field.Path) {
		if source := volume.Secret; source != nil && (source.Optional == nil || !*source.Optional) {
			add(source.SecretName, path.Child("secret"), false)
		}
	})
	return uses
}

func sourceSecrets(source *cdiv1.DataVolumeSource, path *field.Path, add func(string, *field.Path, bool, ...[]string)) {
	account := [][]string{{"accessKeyId"}, {"secretKey"}}
	if http := source.HTTP; http != nil {
		add(http.SecretRef, path.Child("http", "secretRef"), true, account...)
		for i, name := range http.SecretExtraHeaders {
			add(name, path.Child("http", "secretExtraHeaders").Index(i), true)
		}
	}
	if s3 := source.S3; s3 != nil {
		add(s3.SecretRef, path.Child("s3", "secretRef"), true, account...)
	}
	if gcs := source.GCS; gcs != nil {
		add(gcs.SecretRef, path.Child("gcs", "secretRef"), false)
	}
	if registry := source.Registry; registry != nil && registry.SecretRef != nil {
		add(*registry.SecretRef, path.Child("registry", "secretRef"), true, account...)
	}
	if imageio := source.Imageio; imageio != nil {
		add(imageio.SecretRef, path.Child("imageio", "secretRef"), true, account...)
	}
	if vddk := source.VDDK; vddk != nil {
		add(vddk.SecretRef, path.Child("vddk", "secretRef"), true, account...)
	}
}

// certificates returns the ConfigMap with the certificates of the source's server, and where it is named.
func certificates(source *cdiv1.DataVolumeSource, path *field.Path) (string, *field.Path) {
	switch {
	case source.HTTP != nil && source.HTTP.CertConfigMap != "":
		return source.HTTP.CertConfigMap, path.Child("http", "certConfigMap")
	case source.S3 != nil && source.S3.CertConfigMap != "":
		return source.S3.CertConfigMap, path.Child("s3", "certConfigMap")
	case source.Registry != nil && source.Registry.CertConfigMap != nil:
		return *source.Registry.CertConfigMap, path.Child("registry", "certConfigMap")
	case source.Imageio != nil && source.Imageio.CertConfigMap != "":
		return source.Imageio.CertConfigMap, path.Child("imageio", "certConfigMap")
	default:
		return "", nil
	}
}
