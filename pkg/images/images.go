// Package images is the catalogue of images that a user names instead of an address: ubuntu:24.04. An administrator publishes one
// in a ConfigMap; the one that is built in serves where there is none.
package images

import (
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/spelling"
)

const (
	// ConfigMapNamespace is the namespace of a cluster's catalogue.
	ConfigMapNamespace = "virtualserver-system"
	// ConfigMapName is the name of its ConfigMap.
	ConfigMapName = "virtualserver-images"
	// ConfigMapKey is the key of the catalogue in it.
	ConfigMapKey = "catalogue.yaml"
)

//go:embed default.yaml
var builtIn []byte

// Catalogue is a list of images.
type Catalogue struct {
	Images []Image `json:"images"`
}

// Image is a system in one or more versions.
type Image struct {
	// Name is what users call it: lower-case letters, digits and dashes.
	Name string `json:"name"`
	// Title is its name for people.
	Title string `json:"title,omitempty"`
	// User is the user to whom cloud-init gives the keys, and who logs in.
	User string `json:"user,omitempty"`
	// Versions are its versions, the one that is meant by the name alone first.
	Versions []Version `json:"versions"`
}

// Version is one version of an image. It has an address, a claim, or both: the claim is then copied, which is faster.
type Version struct {
	Version string `json:"version"`
	// URL is the address of the image, http(s):// or docker://.
	URL string `json:"url,omitempty"`
	// Checksum is that of the file behind an http(s) URL, as ALGORITHM:HEX. CDI checks it.
	Checksum string `json:"checksum,omitempty"`
	// Claim is a disk to copy.
	Claim *Claim `json:"claim,omitempty"`
}

// Claim is a PersistentVolumeClaim with an image in it. Who creates a machine needs the right to copy from its namespace, which
// is "create" on datavolumes/source there.
type Claim struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Choice is what a user has chosen.
type Choice struct {
	Image   Image
	Version Version
}

// Default is the catalogue that is built in.
func Default() *Catalogue {
	catalogue, err := Parse(builtIn)
	if err != nil {
		panic(fmt.Sprintf("the catalogue that is built in: %v", err))
	}
	return catalogue
}

// Parse reads a catalogue. Whatever cannot be used is an error that names it.
func Parse(text []byte) (*Catalogue, error) {
	catalogue := &Catalogue{}
	if err := yaml.UnmarshalStrict(text, catalogue); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, image := range catalogue.Images {
		if problems := utilvalidation.IsDNS1123Label(image.Name); len(problems) > 0 {
			return nil, fmt.Errorf("image %q: the name: %s", image.Name, problems[0])
		}
		if seen[image.Name] {
			return nil, fmt.Errorf("image %s stands twice", image.Name)
		}
		seen[image.Name] = true
		if len(image.Versions) == 0 {
			return nil, fmt.Errorf("image %s has no version", image.Name)
		}
		for _, version := range image.Versions {
			if err := version.check(); err != nil {
				return nil, fmt.Errorf("image %s:%s: %w", image.Name, version.Version, err)
			}
			reference := image.Name + ":" + version.Version
			if seen[reference] {
				return nil, fmt.Errorf("image %s stands twice", reference)
			}
			seen[reference] = true
		}
	}
	return catalogue, nil
}

func (v *Version) check() error {
	switch {
	case v.Version == "" || strings.ContainsAny(v.Version, ":/ \t\n"):
		return errors.New("a version has no colon, slash or blank in it")
	case v.Claim != nil && (v.Claim.Namespace == "" || v.Claim.Name == ""):
		return errors.New("the claim needs a namespace and a name")
	case v.URL == "" && v.Claim == nil:
		return errors.New("it has neither a url nor a claim")
	}
	if v.URL == "" {
		return nil
	}
	address, err := url.Parse(v.URL)
	switch {
	case err != nil:
		return err
	case !slices.Contains([]string{"https", "http", cdiv1.RegistrySchemeDocker}, address.Scheme) || address.Host == "":
		return fmt.Errorf("url %q is not https://, http:// or docker://", v.URL)
	case v.Checksum != "" && address.Scheme == cdiv1.RegistrySchemeDocker:
		return errors.New("an image in a registry has its digest in the url, and no checksum")
	}
	return nil
}

// IsName says whether the text is to be looked up: it is no address.
func IsName(text string) bool { return !strings.Contains(text, "://") }

// Find looks NAME or NAME:VERSION up. An error says what there is instead.
func (c *Catalogue) Find(reference string) (Choice, error) {
	name, version, pinned := strings.Cut(reference, ":")
	i := slices.IndexFunc(c.Images, func(image Image) bool { return image.Name == name })
	if i < 0 {
		return Choice{}, fmt.Errorf("no image is called %q%s", name, c.instead(name))
	}
	image := c.Images[i]
	if !pinned {
		return Choice{image, image.Versions[0]}, nil
	}
	var known []string
	for _, offered := range image.Versions {
		if offered.Version == version {
			return Choice{image, offered}, nil
		}
		known = append(known, image.Name+":"+offered.Version)
	}
	return Choice{}, fmt.Errorf("image %s has no version %q; there is %s", name, version, strings.Join(known, ", "))
}

// instead proposes the name that is spelt most like this one, or all.
func (c *Catalogue) instead(name string) string {
	var all []string
	for _, image := range c.Images {
		all = append(all, image.Name)
	}
	if near := spelling.Nearest(name, all); near != "" {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	if len(all) == 0 {
		return ": the catalogue is empty"
	}
	return "; there is " + strings.Join(all, ", ")
}

// Source is where the root disk comes from.
func (c Choice) Source() cdiv1.DataVolumeSource {
	version := c.Version
	switch {
	case version.Claim != nil:
		return cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: version.Claim.Namespace, Name: version.Claim.Name}}
	case strings.HasPrefix(version.URL, cdiv1.RegistrySchemeDocker+"://"):
		return cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{URL: &version.URL}}
	default:
		return cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: version.URL, Checksum: version.Checksum}}
	}
}
