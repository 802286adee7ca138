package images

import (
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestCatalogueThatIsBuiltIn(t *testing.T) {
	catalogue := Default()
	require.NotEmpty(t, catalogue.Images)
	for _, image := range catalogue.Images {
		assert.NotEmpty(t, image.User, image.Name)
		assert.NotEmpty(t, image.Title, image.Name)
		for _, version := range image.Versions {
			address, err := url.Parse(version.URL)
			require.NoError(t, err)
			assert.Equal(t, "https", address.Scheme)
			// The same name gives the same image, today and in a year.
			assert.NotRegexp(t, regexp.MustCompile(`(?i)latest|current|daily`), version.URL)
			found, err := catalogue.Find(image.Name + ":" + version.Version)
			require.NoError(t, err)
			assert.Equal(t, version, found.Version)
		}
	}
}

const some = `
images:
- name: ubuntu
  user: ubuntu
  versions:
  - {version: "24.04", url: "https://example.com/24.img", checksum: "sha256:12"}
  - {version: "22.04", url: "docker://example.com/ubuntu:22.04"}
- name: golden
  versions:
  - {version: "1", url: "https://example.com/1.img", claim: {namespace: images, name: golden-1}}
`

func TestFind(t *testing.T) {
	catalogue, err := Parse([]byte(some))
	require.NoError(t, err)
	for reference, want := range map[string]string{"ubuntu": "24.04", "ubuntu:24.04": "24.04", "ubuntu:22.04": "22.04", "golden": "1"} {
		found, err := catalogue.Find(reference)
		require.NoError(t, err, reference)
		assert.Equal(t, want, found.Version.Version, reference)
	}
	for reference, want := range map[string]string{
		"ubunto":       `no image is called "ubunto"; did you mean ubuntu?`,
		"ubunt:24.04":  `did you mean ubuntu?`,
		"windows":      `no image is called "windows"; there is ubuntu, golden`,
		"ubuntu:20.04": `image ubuntu has no version "20.04"; there is ubuntu:24.04, ubuntu:22.04`,
		"ubuntu:":      `has no version ""`,
		"":             `no image is called ""`,
		"Ubuntu":       `did you mean ubuntu?`,
	} {
		_, err := catalogue.Find(reference)
		assert.ErrorContains(t, err, want, reference)
	}
	_, err = (&Catalogue{}).Find("x")
	assert.ErrorContains(t, err, "the catalogue is empty")
}

func TestSource(t *testing.T) {
	catalogue, err := Parse([]byte(some))
	require.NoError(t, err)
	source := func(reference string) (kind string) {
		found, err := catalogue.Find(reference)
		require.NoError(t, err)
		switch source := found.Source(); {
		case source.HTTP != nil:
			return "http " + source.HTTP.URL + " " + source.HTTP.Checksum
		case source.Registry != nil:
			return "registry " + *source.Registry.URL
		default:
			return "claim " + source.PVC.Namespace + "/" + source.PVC.Name
		}
	}
	assert.Equal(t, "http https://example.com/24.img sha256:12", source("ubuntu"))
	assert.Equal(t, "registry docker://example.com/ubuntu:22.04", source("ubuntu:22.04"))
	assert.Equal(t, "claim images/golden-1", source("golden"), "a copy is faster than an import")
}

func TestCataloguesThatCannotBeUsed(t *testing.T) {
	for what, test := range map[string]struct{ text, want string }{
		"no YAML":                   {"images: [", "yaml"},
		"an unknown field":          {"images: [{nam: x}]", `unknown field "nam"`},
		"a name with capitals":      {`images: [{name: Ubuntu, versions: [{version: "1", url: "https://e.com/x"}]}]`, `image "Ubuntu": the name`},
		"no version":                {"images: [{name: x}]", "image x has no version"},
		"a version with a colon":    {`images: [{name: x, versions: [{version: "a:b", url: "https://e.com/x"}]}]`, "no colon"},
		"neither address nor claim": {`images: [{name: x, versions: [{version: "1"}]}]`, "neither a url nor a claim"},
		"a file":                    {`images: [{name: x, versions: [{version: "1", url: "file:///x"}]}]`, "is not https://"},
		"an address without a host": {`images: [{name: x, versions: [{version: "1", url: "https:///x"}]}]`, "is not https://"},
		"half a claim":              {`images: [{name: x, versions: [{version: "1", claim: {name: a}}]}]`, "needs a namespace and a name"},
		"twice":                     {`images: [{name: x, versions: [{version: "1", url: "https://e.com/x"}, {version: "1", url: "https://e.com/y"}]}]`, "x:1 stands twice"},
		"a name twice": {`images: [{name: x, versions: [{version: "1", url: "https://e.com/x"}]}, {name: x, versions: [{version: "2", url: "https://e.com/x"}]}]`,
			"x stands twice"},
		"a checksum of a registry": {`images: [{name: x, versions: [{version: "1", url: "docker://e.com/x", checksum: "sha256:1"}]}]`, "no checksum"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := Parse([]byte(test.text))
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestIsName(t *testing.T) {
	for text, want := range map[string]bool{"ubuntu": true, "ubuntu:24.04": true, "https://x/y": false, "docker://x/y": false} {
		assert.Equal(t, want, IsName(text), text)
	}
}

// What administrators begin with is what the plugin has.
func TestManifestHasTheSameImages(t *testing.T) {
	manifest, err := os.ReadFile("../../artifacts/images/images.yaml")
	require.NoError(t, err)
	published := &corev1.ConfigMap{}
	first, _, _ := strings.Cut(string(manifest), "\n---\n")
	require.NoError(t, yaml.UnmarshalStrict([]byte(first+"\n"), published))
	assert.Equal(t, ConfigMapNamespace+"/"+ConfigMapName, published.Namespace+"/"+published.Name)
	assert.Equal(t, string(builtIn), published.Data[ConfigMapKey])
}
