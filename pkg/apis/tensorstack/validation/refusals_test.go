package validation

import (
	"fmt"
	"math/rand"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	k8svalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// launcherSearch is the pattern by which KubeVirt's launcher judges a search domain (1.7, pkg/network/dhcp/server). It ends,
// and with it the machine, at one that does not match.
var launcherSearch = regexp.MustCompile(`^(?:[_a-z0-9](?:[_a-z0-9-]{0,61}[a-z0-9])?\.)*(?:[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)?$`)

// launcherTakes says whether the launcher starts with these search domains.
func launcherTakes(searches []string) bool {
	length := 0
	for _, search := range searches {
		if len(search) > 253 || !launcherSearch.MatchString(search) {
			return false
		}
		for _, label := range strings.Split(search, ".") {
			length += 1 + len(label)
		}
		length++
	}
	return length <= 255
}

func searches(searches ...string) func(*tensorstack.VirtualServerSpec) {
	return func(spec *tensorstack.VirtualServerSpec) {
		spec.Network.DNSConfig = &corev1.PodDNSConfig{Searches: searches}
	}
}

func TestSearches(t *testing.T) {
	const at = "spec.network.dnsConfig.searches"
	long := strings.Repeat("a", 63)
	checkRules(t, map[string]rule{
		"domains":            {searches("example.com", "a", "x-1.y2.z3", "1.example", "corp.example-1.internal"), nil},
		"an address":         {searches("10.96.0.10"), []string{at + "[0] belongs into nameservers"}},
		"the end of one":     {searches("example.com", "a.5"), []string{at + "[1] begins with a letter"}},
		"a number":           {searches("42"), []string{at + "[0] begins with a letter"}},
		"a digit at the end": {searches("example.2com"), []string{at + "[0] begins with a letter"}},
		"a year":             {searches("lab.2024"), []string{at + "[0] begins with a letter"}},
		"a long label":       {searches(long + "a.example"), []string{at + "[0] at most 63"}},
		"a long last label":  {searches("a." + long + "a"), []string{at + "[0] at most 63"}},
		"the longest label":  {searches(long + ".example"), nil},
		"the root":           {searches("."), []string{at + "[0] RFC 1123"}},
		"a dot at the end":   {searches("example.com."), []string{at + "[0] RFC 1123"}},
		"an underscore":      {searches("_tcp.example.com"), []string{at + "[0] RFC 1123"}},
		"255 bytes":          {searches(long+"."+long, long+"."+long[:60]), nil},
		"256 bytes":          {searches(long+"."+long, long+"."+long[:61]), []string{at + " takes 256 bytes"}},
		"257 characters":     {searches(long+"."+long, long+"."+long, "b"), []string{at + " is 257 characters"}},
	})
}

// Whatever is accepted, the launcher takes; whatever it takes of what the admission takes, is accepted.
func TestSearchesAreThoseOfTheLauncher(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	accepted, refused := 0, 0
	for range 50000 {
		var list []string
		for range 1 + random.Intn(3) {
			list = append(list, randomDomain(random))
		}
		network := valid().Spec.Network
		network.DNSConfig = &corev1.PodDNSConfig{Searches: list}
		errs := validateNetwork(&network, nil)
		admitted := len(strings.Join(list, " ")) <= 256
		for _, search := range list {
			admitted = admitted && len(k8svalidation.IsDNS1123Subdomain(search)) == 0
		}
		require.Equal(t, admitted && launcherTakes(list), len(errs) == 0, "%q: %v", list, errs)
		if len(errs) == 0 {
			accepted++
		} else if admitted {
			refused++
		}
	}
	t.Logf("%d accepted, %d refused that KubeVirt admits", accepted, refused)
	assert.Greater(t, accepted, 1000)
	assert.Greater(t, refused, 1000)
}

func randomDomain(random *rand.Rand) string {
	const letters = "ab19"
	var labels []string
	for range 1 + random.Intn(4) {
		label := make([]byte, 1+random.Intn(4))
		if random.Intn(12) == 0 {
			label = make([]byte, 60+random.Intn(6))
		}
		for i := range label {
			label[i] = letters[random.Intn(len(letters))]
		}
		if random.Intn(20) == 0 {
			label[random.Intn(len(label))] = "-_.A"[random.Intn(4)]
		}
		labels = append(labels, string(label))
	}
	return strings.Join(labels, ".")
}

func TestDNSWarnings(t *testing.T) {
	vs := valid()
	searches(strings.Repeat("a", 63)+"."+strings.Repeat("b", 63), strings.Repeat("c", 63), "d")(&vs.Spec)
	warnings := Warnings(vs)
	require.Len(t, warnings, 1)
	assert.Contains(t, warnings[0], "spec.network.dnsConfig.searches: with the domains of the cluster")
	vs.Spec.Network.DNSPolicy = corev1.DNSNone
	assert.Empty(t, Warnings(vs))
	vs.Spec.Network.DNSConfig.Options = []corev1.PodDNSConfigOption{{Name: "ndots", Value: ptr.To("2")}, {Name: "edns0"}}
	warnings = Warnings(vs)
	require.Len(t, warnings, 1)
	assert.Contains(t, warnings[0], `spec.network.dnsConfig.options: the guest does not get "ndots", "edns0"`)
}

func TestImages(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	for _, image := range []string{
		"fedora", "fedora:40", "library/fedora", "quay.io/containerdisks/fedora:40", "quay.io/a/b@" + digest, "quay.io/a/b:c@" + digest,
		"localhost:5000/a", "[2001:db8::1]:5000/a/b", "REGISTRY.example.com/a", "10.0.0.1:443/a/b_c/d-e", "a.b/c__d/e---f:V1.0-x",
		"quay.io/a@sha512:" + strings.Repeat("0a", 64),
	} {
		assert.Empty(t, validateImage(image, nil), image)
		assert.Empty(t, validateRegistryURL("docker://"+image, true, nil), image)
		if image != "quay.io/a/b:c@"+digest {
			assert.Empty(t, validateRegistryURL("docker://"+image, false, nil), image)
		}
	}
	for image, problem := range map[string]string{
		"quay.io/Team/fedora:40":  "must be lowercase",
		"Fedora":                  "must be lowercase",
		"quay.io/a/b:":            "no tag after the last colon",
		"quay.io/a/b@":            "no digest after @",
		"quay.io/a/b@sha256:0a0a": "the digest after @",
		"quay.io/a/b@sha256:" + strings.Repeat("z", 64): "the digest after @",
		"quay.io/a/b@sha256:" + strings.Repeat("0", 63): "invalid checksum digest length",
		"quay.io/a/b@crc32:" + strings.Repeat("0", 64):  "unsupported digest algorithm",
		"quay.io/a b":                           "a blank",
		" quay.io/a":                            "a blank",
		"quay.io/a\n":                           "a blank",
		"quay.io/a:b:c":                         "invalid reference format",
		"quay.io//a":                            "invalid reference format",
		"quay.io/a/":                            "invalid reference format",
		"quay.io/-a":                            "invalid reference format",
		"quay.io/a:" + strings.Repeat("t", 129): "invalid reference format",
		"quay.io/a?tag=b":                       "invalid reference format",
		"quay.io:0/a":                           "the port 0",
		"quay.io:65536/a":                       "the port 65536",
		"256.1.1.1/a":                           "a whole IPv4 address",
		strings.Repeat("a", 64) + ".io/a":       "a name of DNS",
		"[2001:db8::g]/a":                       "invalid reference format",
		"[:::]/a":                               "an IPv6 address",
		strings.Repeat("0a", 32):                "cannot specify 64-byte hexadecimal strings",
		"https://quay.io/a":                     "without a scheme",
	} {
		errs := validateImage(image, nil)
		if assert.Len(t, errs, 1, image) {
			assert.Contains(t, errs[0].Detail, problem, image)
			assert.Contains(t, errs[0].Detail, imageExample, image)
		}
		assert.Len(t, validateRegistryURL("docker://"+image, true, nil), 1, image)
	}
	errs := validateRegistryURL("docker://quay.io/a/b:c@"+digest, false, nil)
	require.Len(t, errs, 1)
	assert.Contains(t, errs[0].Detail, "a tag or a digest and not both")
	errs = validateRegistryURL("docker://user:hunter2@quay.io/a", false, nil)
	require.Len(t, errs, 1)
	assert.NotContains(t, errs[0].Error(), "hunter2")
}

func TestURLs(t *testing.T) {
	for _, address := range []string{
		"https://example.com/a.img", "http://a", "https://192.0.2.1:65535/a", "https://[2001:db8::1]:1/a", "https://my_host.local/a%20b.img",
		"https://example.com./a", "https://bücher.example/a", "https://EXAMPLE.com:443/a?b=c d"[:27], "https://a.b-c.1d/e", "https://user:pw@example.com/a",
		"https://example.com:/a",
	} {
		assert.Empty(t, validateURL(address, nil, "https", "http"), address)
	}
	for address, problem := range map[string]string{
		"https://example.com:0/a":                        "the port 0",
		"https://example.com:70000/a":                    "the port 70000",
		"http://[2001:db8::1]:65536/":                    "the port 65536",
		"https://example.com:99999999999999999999/a":     "the port",
		"https://example.com:http/a":                     "a port is a number",
		"https://example.com/a b.img":                    "a blank",
		"https://example.com/a.img ":                     "a blank",
		" https://example.com/a.img":                     "a blank",
		"https://example.com/a\tb":                       "a blank",
		"https://example.com/a\u00a0b":                   "a blank",
		"https://exam ple.com/a":                         "a blank",
		"https://example..com/a":                         "a name of DNS",
		"https://-example.com/a":                         "a name of DNS",
		"https://example-.com/a":                         "a name of DNS",
		"https://.example.com/a":                         "a name of DNS",
		"https://exa!mple.com/a":                         "a name of DNS",
		"https://example.com,other.com/a":                "a name of DNS",
		"https://" + strings.Repeat("a", 64) + ".com/a":  "a name of DNS",
		"https://" + strings.Repeat("a.", 127) + "com/a": "at most 253",
		"https://192.0.2/a":                              "a whole IPv4",
		"https://192.0.2.256/a":                          "a whole IPv4",
		"https://example.0x7f/a":                         "a whole IPv4",
		"https://[fe80::1%25eth0]/a":                     "without a zone",
		"https://example.com/%zz":                        "percent sign",
		"https://bü cher.example/a":                      "a blank",
		"https://\u0378.example/a":                       "a name of DNS",
	} {
		errs := validateURL(address, nil, "https", "http")
		if assert.Len(t, errs, 1, address) {
			assert.Contains(t, errs[0].Detail, problem, address)
		}
	}
	assert.Empty(t, validateURL("gs://my_bucket.example/a", nil, "gs"))
	assert.Len(t, validateURL("gs://My-Bucket/a", nil, "gs"), 1)
	assert.Len(t, validateURL("gs://ab/a", nil, "gs"), 1)
	assert.NotContains(t, validateURL("https://user:hunter2@example.com:0/a", nil, "https").ToAggregate().Error(), "hunter2")
}

func TestFormats(t *testing.T) {
	problem := func(name string) string {
		warnings := formatWarnings(&cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: "https://example.com/d.tar/" + name, Checksum: "x"}}, nil)
		return strings.Join(warnings, "|")
	}
	for _, name := range []string{
		"a.img", "a.qcow2", "a.raw.gz", "a.img.XZ", "a.vmdk.zst", "a.iso", "a", "a.vhdx", "a.vdi", "a.vhd", "a.qcow2?x=.zip", "a-1.2", "a.gz", "zip",
	} {
		assert.Empty(t, problem(name), name)
	}
	for name, part := range map[string]string{
		"a.tar": "an archive (.tar)", "a.tar.xz": "an archive (.tar.xz)", "a.tar.ZST": "an archive (.tar.zst)", "a.TGZ": "an archive (.tgz)",
		"a.7z": "an archive", "a.rar?sig=1": "an archive", "a.box": "an archive", "a.img.lz4": "a compressed file (.lz4)", "a.raw.lzma": "a compressed file",
		"a.Z": "a compressed file", "a.sha256": "not end like that of a disk image", "a.torrent": "not end like", "index.html": "not end like", "a.ovf": "not end like",
	} {
		assert.Contains(t, problem(name), part, name)
	}
	for _, source := range []cdiv1.DataVolumeSource{
		{S3: &cdiv1.DataVolumeSourceS3{URL: "https://example.com/b/a.zip"}}, {GCS: &cdiv1.DataVolumeSourceGCS{URL: "gs://bucket/a.cpio.gz"}},
	} {
		assert.Len(t, formatWarnings(&source, nil), 1)
	}
	assert.Empty(t, formatWarnings(&cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{URL: ptr.To("docker://quay.io/a.zip")}}, nil))
}

func TestClaimsOfOneMachine(t *testing.T) {
	read := tensorstack.VolumeSource{PersistentVolumeClaim: &tensorstack.PersistentVolumeClaimSource{ClaimName: "c", ReadOnly: true}}
	overlay := tensorstack.VolumeSource{Ephemeral: &tensorstack.EphemeralSource{
		PersistentVolumeClaim: &tensorstack.PersistentVolumeClaimSource{ClaimName: "c"}}}
	both := func(sources ...tensorstack.VolumeSource) func(*tensorstack.VirtualServerSpec) {
		var list []tensorstack.AdditionalDisk
		for i, source := range sources {
			list = append(list, tensorstack.AdditionalDisk{Name: fmt.Sprintf("d%d", i), VolumeSource: source})
		}
		return disks(list...)
	}
	const second = "spec.storage.additionalDisks[1] spec.storage.additionalDisks[0] already"
	checkRules(t, map[string]rule{
		"two claims":               {both(claim("c"), claim("d")), nil},
		"written twice":            {both(claim("c"), claim("c")), []string{second}},
		"written and read":         {both(claim("c"), read), []string{second}},
		"read and written":         {both(read, claim("c")), []string{second}},
		"written under an overlay": {both(overlay, claim("c")), []string{second}},
		"read twice":               {both(read, read), nil},
		"two overlays":             {both(overlay, overlay), nil},
		"an overlay and read":      {both(overlay, read), nil},
		"thrice":                   {both(claim("c"), claim("x"), claim("c"), claim("c")), []string{"spec.storage.additionalDisks[2] destroy", "spec.storage.additionalDisks[3] destroy"}},
		"a disk and a filesystem": {func(spec *tensorstack.VirtualServerSpec) {
			both(claim("c"))(spec)
			filesystems(tensorstack.Filesystem{Name: "f", VolumeSource: claim("c")})(spec)
		}, nil},
	})
}

func TestCoresLeftOut(t *testing.T) {
	for cores, message := range map[intstr.IntOrString]string{
		{}: "Required", intstr.FromString(""): "Required", intstr.FromInt32(-1): "such as 2", intstr.FromString("0"): "such as 2",
		intstr.FromString("two"): "whole number", intstr.FromString("1.5"): "whole cores", intstr.FromInt32(1025): "from 1 to 1024",
	} {
		errs := validateCores(cores, nil)
		if assert.Len(t, errs, 1, cores.String()) {
			assert.Contains(t, errs[0].Error(), message, cores.String())
		}
	}
}

// What an older version accepted must not keep anybody from changing something else, or from removing it.
func TestWhatWasAcceptedMayStay(t *testing.T) {
	for name, old := range map[string]func(*tensorstack.VirtualServerSpec){
		"a search domain": searches("10.0.0.1"),
		"a claim twice": disks(tensorstack.AdditionalDisk{Name: "a", VolumeSource: claim("c")},
			tensorstack.AdditionalDisk{Name: "b", VolumeSource: claim("c")}),
		"an image":   disks(tensorstack.AdditionalDisk{Name: "a", ContainerDisk: &tensorstack.ContainerDiskSource{Image: "A"}}),
		"a URL":      from(cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: "https://a:0/"}}),
		"a registry": from(cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{URL: ptr.To("docker://A/B")}}),
	} {
		t.Run(name, func(t *testing.T) {
			before := valid()
			old(&before.Spec)
			require.NotEmpty(t, ValidateVirtualServer(before))
			labelled := before.DeepCopy()
			labelled.Labels = map[string]string{"a": "b"}
			assert.Empty(t, ValidateVirtualServerUpdate(labelled, before))
			resized := before.DeepCopy()
			resized.Spec.Resources.CPU.Cores = intstr.FromInt32(2)
			assert.Empty(t, ValidateVirtualServerUpdate(resized, before))
			worse := before.DeepCopy()
			worse.Spec.Resources.CPU.Cores = intstr.FromInt32(0)
			requireErrors(t, []string{"spec.resources.cpu.cores Required"}, ValidateVirtualServerUpdate(worse, before))
			assert.Empty(t, ValidateVirtualServerUpdate(valid(), before))
		})
	}
}
