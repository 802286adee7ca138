package validation_test

import (
	"encoding/json"
	"math/rand"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/idna"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/sets"
	k8svalidation "k8s.io/apimachinery/pkg/util/validation"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/fuzzer"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/install"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
	"tensorstack.dev/virtualserver/pkg/translate"
)

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	return scheme
}

// addFiles adds every example and every fragment of the guide as a seed.
func addFiles(f *testing.F) {
	f.Helper()
	for _, pattern := range []string{"artifacts/examples/vs-*.yaml", "artifacts/examples/sources/*.yaml", "test/testdata/guide/*.yaml"} {
		files, err := filepath.Glob(filepath.Join("../../../..", pattern))
		require.NoError(f, err)
		require.NotEmpty(f, files)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(f, err)
			encoded, err := yaml.YAMLToJSON(data)
			require.NoError(f, err)
			f.Add(encoded)
		}
	}
}

// FuzzDecode decodes anything, and encodes and decodes again what it could decode.
func FuzzDecode(f *testing.F) {
	addFiles(f)
	f.Add([]byte(`{"apiVersion":"tensorstack.dev/v1beta1","kind":"StopOptions","gracePeriodSeconds":1}`))
	scheme := newScheme()
	codecs := serializer.NewCodecFactory(scheme)
	f.Fuzz(func(t *testing.T, data []byte) {
		decoded, err := runtime.Decode(codecs.UniversalDecoder(tensorstack.SchemeGroupVersion), data)
		if err != nil {
			return
		}
		encoded, err := runtime.Encode(codecs.LegacyCodec(v1beta1.SchemeGroupVersion), decoded)
		require.NoError(t, err)
		again, err := runtime.Decode(codecs.UniversalDecoder(tensorstack.SchemeGroupVersion), encoded)
		require.NoError(t, err)
		twice, err := runtime.Encode(codecs.LegacyCodec(v1beta1.SchemeGroupVersion), again)
		require.NoError(t, err)
		assert.Equal(t, string(encoded), string(twice))
	})
}

// FuzzValidate validates anything that decodes; what is accepted must be translatable into what KubeVirt accepts.
func FuzzValidate(f *testing.F) {
	addFiles(f)
	scheme := newScheme()
	codecs := serializer.NewCodecFactory(scheme)
	f.Fuzz(func(t *testing.T, data []byte) {
		decoded, err := runtime.Decode(codecs.UniversalDecoder(tensorstack.SchemeGroupVersion), data)
		if err != nil {
			return
		}
		if vs, ok := decoded.(*tensorstack.VirtualServer); ok {
			if vs.Namespace == "" {
				vs.Namespace = "default"
			}
			check(t, scheme, vs)
		}
	})
}

// FuzzValidateRandom does the same with random objects near the border of what is valid.
func FuzzValidateRandom(f *testing.F) {
	for seed := range int64(100) {
		f.Add(seed)
	}
	scheme := newScheme()
	f.Fuzz(func(t *testing.T, seed int64) {
		external := fuzzer.VirtualServer(rand.New(rand.NewSource(seed)))
		scheme.Default(external)
		vs := &tensorstack.VirtualServer{}
		require.NoError(t, scheme.Convert(external, vs, nil))
		check(t, scheme, vs)
	})
}

// The translation refuses what validation has let through only by mistake, so both must agree.
func TestLimitsAreThoseOfTheTranslation(t *testing.T) {
	assert.Equal(t, translate.RootDiskName, validation.RootDiskName)
	assert.Equal(t, translate.CloudInitDiskName, validation.CloudInitDiskName)
	assert.Equal(t, translate.MaxSerialLength, validation.MaxSerialLength)
	for name := range translate.ReservedNames() {
		assert.True(t, validation.IsReservedDiskName(name), name)
	}
}

func TestRandomObjectsAreOftenValid(t *testing.T) {
	scheme, accepted := newScheme(), 0
	const objects = 2000
	for seed := range int64(objects) {
		external := fuzzer.VirtualServer(rand.New(rand.NewSource(seed)))
		scheme.Default(external)
		vs := &tensorstack.VirtualServer{}
		require.NoError(t, scheme.Convert(external, vs, nil))
		if check(t, scheme, vs) {
			accepted++
		}
	}
	t.Logf("%d of %d random objects are valid", accepted, objects)
	assert.Greater(t, accepted, objects/10)
}

// check validates an object, and says whether it was accepted.
func check(t *testing.T, scheme *runtime.Scheme, vs *tensorstack.VirtualServer) bool {
	for _, text := range validation.Warnings(vs) {
		_, err := utilnet.NewWarningHeader(299, "-", text)
		require.NoError(t, err)
	}
	before := vs.DeepCopy()
	errs := validation.ValidateVirtualServer(vs)
	require.Equal(t, before, vs, "validation must not change the object")
	validation.ValidateVirtualServerUpdate(vs, before)
	validation.ValidateVirtualServerStatusUpdate(vs, before)
	if len(errs) > 0 {
		return false
	}
	if vs.ResourceVersion != "" {
		require.Empty(t, validation.ValidateVirtualServerUpdate(vs, before), "what was accepted must stay valid")
	}
	external := &v1beta1.VirtualServer{}
	require.NoError(t, scheme.Convert(vs, external, nil))
	external.UID = "5b1f1a2e-0000-4000-8000-000000000000"
	external.Status.VM.Name = "managed-virtualserver-9dda9"
	vm, err := translate.VirtualMachine(external, translate.Options{RunStrategy: external.Spec.RunStrategy})
	require.NoError(t, err)
	encoded, err := json.Marshal(vm)
	require.NoError(t, err)
	require.Less(t, len(encoded), 1<<20, "the VirtualMachine must fit into etcd")
	requireMachine(t, &vm.Spec.Template.Spec)
	if volume := translate.DataVolume(external); volume != nil {
		requireDataVolume(t, volume)
	}
	if secret := translate.CloudInitSecret(external); secret != nil {
		require.LessOrEqual(t, len(secret.Data[translate.UserDataKey]), corev1.MaxSecretSize)
	}
	if service := translate.Service(external); service != nil {
		requireService(t, service)
	}
	return true
}

// requireMachine holds the rules of KubeVirt's admission and of the pods that it makes, written down a second time.
func requireMachine(t *testing.T, spec *kubevirtv1.VirtualMachineInstanceSpec) {
	names, accounts := sets.New[string](), 0
	for i := range spec.Volumes {
		volume := &spec.Volumes[i]
		require.Empty(t, k8svalidation.IsDNS1123Label(volume.Name))
		require.False(t, names.Has(volume.Name), volume.Name)
		names.Insert(volume.Name)
		require.Equal(t, 1, volumeSources(&volume.VolumeSource), volume.Name)
		if volume.ContainerDisk != nil {
			_, err := reference.ParseNormalizedNamed(volume.ContainerDisk.Image)
			require.NoError(t, err)
		}
		if volume.ServiceAccount != nil {
			accounts++
			require.NotEmpty(t, volume.ServiceAccount.ServiceAccountName)
		}
	}
	require.LessOrEqual(t, accounts, 1)
	used, serials := sets.New[string](), sets.New[string]()
	for _, disk := range spec.Domain.Devices.Disks {
		require.True(t, names.Has(disk.Name))
		require.False(t, used.Has(disk.Name))
		used.Insert(disk.Name)
		if disk.Serial != "" {
			require.Regexp(t, regexp.MustCompile(`^[A-Za-z0-9_.+-]{1,20}$`), disk.Serial)
			require.False(t, serials.Has(disk.Serial), disk.Serial)
			serials.Insert(disk.Serial)
		}
	}
	for _, filesystem := range spec.Domain.Devices.Filesystems {
		require.True(t, names.Has(filesystem.Name))
		require.LessOrEqual(t, len("virtiofs-"+filesystem.Name), k8svalidation.DNS1123LabelMaxLength)
		used.Insert(filesystem.Name)
	}
	require.True(t, used.IsSuperset(names))
	require.GreaterOrEqual(t, spec.Domain.CPU.Cores, uint32(1))
	require.Positive(t, spec.Domain.Memory.Guest.Value())
	for _, nic := range spec.Domain.Devices.Interfaces {
		if nic.MacAddress != "" {
			mac, err := net.ParseMAC(nic.MacAddress)
			require.NoError(t, err)
			require.Len(t, mac, 6)
		}
		for _, port := range nic.Ports {
			require.Empty(t, k8svalidation.IsValidPortName(port.Name))
			require.Empty(t, k8svalidation.IsValidPortNum(int(port.Port)))
		}
	}
	if spec.DNSPolicy == corev1.DNSNone {
		require.NotEmpty(t, spec.DNSConfig.Nameservers)
	}
	if spec.DNSConfig != nil {
		require.LessOrEqual(t, len(spec.DNSConfig.Nameservers), 3)
		require.LessOrEqual(t, len(spec.DNSConfig.Searches), 6)
		require.LessOrEqual(t, len(strings.Join(spec.DNSConfig.Searches, " ")), 256)
		for _, search := range spec.DNSConfig.Searches {
			require.Regexp(t, launcherSearch, search)
		}
	}
}

// launcherSearch is the pattern of KubeVirt's launcher, pkg/network/dhcp/server.
var launcherSearch = regexp.MustCompile(`^(?:[_a-z0-9](?:[_a-z0-9-]{0,61}[a-z0-9])?\.)*(?:[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)?$`)

func volumeSources(source *kubevirtv1.VolumeSource) int {
	count := 0
	for _, set := range []bool{
		source.PersistentVolumeClaim != nil, source.CloudInitNoCloud != nil, source.ContainerDisk != nil, source.Ephemeral != nil,
		source.EmptyDisk != nil, source.DataVolume != nil, source.ConfigMap != nil, source.Secret != nil, source.DownwardAPI != nil,
		source.ServiceAccount != nil,
	} {
		if set {
			count++
		}
	}
	return count
}

// requireDataVolume holds the rules of CDI's admission, written down a second time.
func requireDataVolume(t *testing.T, dataVolume *cdiv1.DataVolume) {
	claim, source := dataVolume.Spec.PVC, dataVolume.Spec.Source
	require.Len(t, claim.AccessModes, 1)
	size := claim.Resources.Requests[corev1.ResourceStorage]
	require.GreaterOrEqual(t, size.Value(), int64(1<<20))
	encoded, err := json.Marshal(source)
	require.NoError(t, err)
	set := map[string]any{}
	require.NoError(t, json.Unmarshal(encoded, &set))
	require.Len(t, set, 1, string(encoded))
	if source.HTTP != nil {
		parsed, err := url.ParseRequestURI(source.HTTP.URL)
		require.NoError(t, err)
		require.Contains(t, []string{"http", "https"}, parsed.Scheme)
		requireReachable(t, parsed)
	}
}

// requireReachable asks whether a connection could be opened to the host.
func requireReachable(t *testing.T, address *url.URL) {
	require.NotContains(t, address.String(), " ")
	if port := address.Port(); port != "" {
		number, err := strconv.Atoi(port)
		require.NoError(t, err)
		require.Empty(t, k8svalidation.IsValidPortNum(number))
	}
	host, err := idna.ToASCII(address.Hostname())
	require.NoError(t, err)
	if net.ParseIP(host) == nil {
		require.LessOrEqual(t, len(host), 254)
		require.Regexp(t, regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?)+$`), host)
	}
}

func requireService(t *testing.T, service *corev1.Service) {
	names := sets.New[string]()
	require.NotEmpty(t, service.Spec.Ports)
	for _, port := range service.Spec.Ports {
		require.Empty(t, k8svalidation.IsDNS1123Label(port.Name))
		require.False(t, names.Has(port.Name))
		names.Insert(port.Name)
	}
}
