package validation

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/cloudinit"
)

// Warnings returns what is valid in a VirtualServer but probably not meant, in one line each, fit for a Warning header. It
// needs nothing but the object; what depends on the cluster is the admission plugin VirtualServerPreflight's.
func Warnings(vs *tensorstack.VirtualServer) []string {
	path := field.NewPath("spec")
	warnings := cloudInitWarnings(&vs.Spec, path)
	warnings = append(warnings, sshKeysWarnings(&vs.Spec, path.Child("sshKeys"))...)
	warnings = append(warnings, rootWarnings(&vs.Spec.Storage.Root, path.Child("storage", "root"))...)
	warnings = append(warnings, claimWarnings(&vs.Spec.Storage, path.Child("storage"))...)
	warnings = append(warnings, dnsWarnings(&vs.Spec.Network, vs.Namespace, path.Child("network"))...)
	for i := range warnings {
		warnings[i] = headerText(warnings[i])
	}
	return warnings
}

// headerText replaces what a Warning header cannot hold.
func headerText(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, " "))
}

func cloudInitWarnings(spec *tensorstack.VirtualServerSpec, path *field.Path) []string {
	if spec.CloudInit == "" {
		return nil
	}
	child, userData := path.Child("cloudInit"), cloudinit.Parse(spec.CloudInit)
	var warnings []string
	for _, problem := range userData.Lint() {
		warnings = append(warnings, fmt.Sprintf("%s: %s", child, problem))
	}
	if userData.HoldsPassword() {
		warnings = append(warnings, fmt.Sprintf("%s: sets a password, which everyone who can read this VirtualServer can read: "+
			"put it into a Secret and name that in %s", child, path.Child("cloudInitSecretRef")))
	}
	names := sets.New[string]()
	for i := range spec.Storage.Filesystems {
		names.Insert(spec.Storage.Filesystems[i].Name)
	}
	for _, tag := range userData.MountedFilesystems() {
		if !names.Has(tag) {
			warnings = append(warnings, fmt.Sprintf("%s: mounts the virtiofs filesystem %q, which is not in %s", child, tag,
				path.Child("storage", "filesystems")))
		}
	}
	return warnings
}

func rootWarnings(root *tensorstack.RootDisk, path *field.Path) []string {
	var warnings []string
	if slices.Contains(root.PVC.AccessModes, corev1.ReadOnlyMany) {
		warnings = append(warnings, fmt.Sprintf("%s: most storage cannot import an image into a ReadOnlyMany volume: use "+
			"ReadWriteOnce or ReadWriteMany", path.Child("pvc", "accessModes")))
	}
	return append(warnings, sourceWarnings(&root.Source, path.Child("source"))...)
}

func sourceWarnings(from *cdiv1.DataVolumeSource, path *field.Path) []string {
	var warnings []string
	if from.Upload != nil {
		warnings = append(warnings, fmt.Sprintf("%s: the machine waits until somebody uploads a disk: virtctl image-upload dv NAME "+
			"--image-path FILE, with NAME from status.vm.name", path.Child("upload")))
	}
	if imageio := from.Imageio; imageio != nil && imageio.InsecureSkipVerify != nil && *imageio.InsecureSkipVerify {
		warnings = append(warnings, fmt.Sprintf("%s: anyone on the way can change the disk: name a certConfigMap instead",
			path.Child("imageio", "insecureSkipVerify")))
	}
	if from.HTTP != nil && strings.HasPrefix(from.HTTP.URL, "http:") && from.HTTP.Checksum == "" {
		warnings = append(warnings, fmt.Sprintf("%s: anyone on the way can change the image: use https or set checksum",
			path.Child("http", "url")))
	}
	return append(append(warnings, credentialWarnings(from, path)...), formatWarnings(from, path)...)
}

// SourceURL is an address that the importer of a root disk will read, and the field that names it.
type SourceURL struct {
	Path *field.Path
	URL  string
}

// SourceURLs returns the addresses in a source. path is the path of the source.
func SourceURLs(from *cdiv1.DataVolumeSource, path *field.Path) []SourceURL {
	var urls []SourceURL
	add := func(name, address string) {
		if address != "" {
			urls = append(urls, SourceURL{Path: path.Child(name, "url"), URL: address})
		}
	}
	if from.HTTP != nil {
		add("http", from.HTTP.URL)
	}
	if from.S3 != nil {
		add("s3", from.S3.URL)
	}
	if from.GCS != nil {
		add("gcs", from.GCS.URL)
	}
	if from.Registry != nil && from.Registry.URL != nil {
		add("registry", *from.Registry.URL)
	}
	if from.Imageio != nil {
		add("imageio", from.Imageio.URL)
	}
	if from.VDDK != nil {
		add("vddk", from.VDDK.URL)
	}
	return urls
}
