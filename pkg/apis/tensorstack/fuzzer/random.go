package fuzzer

import (
	"math/rand"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// VirtualServer returns a random VirtualServer near the border of what is valid: most of its values are good, some are at
// the limit, a few are beyond it. The same source gives the same object.
func VirtualServer(source *rand.Rand) *v1beta1.VirtualServer {
	g := generator{source, 4 - 2*source.Intn(2)}
	vs := &v1beta1.VirtualServer{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: g.name()},
		Spec: v1beta1.VirtualServerSpec{
			RunStrategy: pick(g, v1beta1.RunStrategy(""), "Always", "RerunOnFailure", "Manual", "Halted", "Once"),
			Resources:   g.resources(),
			Storage:     g.storage(),
			Network:     g.network(),
			CloudInit:   pick(g, "", "#cloud-config\nuser: a\n", " ", "x", strings.Repeat("#\n", 40<<10)),
		},
	}
	if g.rarely() {
		vs.Spec.Firmware = g.firmware(&vs.Spec.Storage)
	}
	if g.rarely() {
		vs.Spec.Placement, vs.Spec.Scheduler = g.placement(), g.scheduler()
	}
	vs.Spec.UseVirtioTransitional = pick(g, nil, ptr.To(true), ptr.To(false))
	if g.rarely() {
		vs.Spec.CloudInitSecretRef = &corev1.LocalObjectReference{Name: g.name()}
	}
	if g.rarely() {
		vs.Spec.SSHKeys = &v1beta1.SSHKeys{SecretRef: corev1.LocalObjectReference{Name: g.name()},
			Users: pick(g, nil, []string{"ubuntu"}, []string{"a", "b"}, []string{"a", "a"}, []string{"-a"}, []string{""})}
	}
	return vs
}

type generator struct {
	*rand.Rand
	// tameness is how much rarer each value of a choice is than the one before it.
	tameness int
}

// pick returns one of the values, of which the good ones come first.
func pick[T any](g generator, values ...T) T {
	i := 0
	for i < len(values)-1 && g.Intn(g.tameness) == 0 {
		i++
	}
	return values[i]
}

func (g generator) rarely() bool { return g.Intn(6) == 0 }

func (g generator) name() string {
	if g.Intn(20) > 0 {
		return "name-" + strconv.Itoa(g.Intn(100))
	}
	edges := []string{
		"a", "1", "my-filesys", strings.Repeat("n", 52), strings.Repeat("n", 54), strings.Repeat("n", 55), strings.Repeat("n", 63), "a.b",
		strings.Repeat("n", 64), "root", "sockets", "cloudinit", "Upper", "-a", "a_b", "",
	}
	return edges[g.Intn(len(edges))]
}

func (g generator) resources() v1beta1.Resources {
	resources := v1beta1.Resources{
		CPU: v1beta1.CPU{
			Cores: pick(g, intstr.FromInt32(1), intstr.FromString("2"), intstr.FromInt32(64), intstr.FromInt32(1024), intstr.FromString("01"),
				intstr.FromString("2.0"), intstr.FromString("2000m"), intstr.FromString("1k"), intstr.FromInt32(0), intstr.FromInt32(4096), intstr.FromString("500m")),
			Model: pick(g, "", "Conroe", "host-passthrough", "Skylake-Client-IBRS", strings.Repeat("m", 63), "a b", "a/b", "-x"),
		},
		Memory: g.quantity("1Gi", "8Gi", "16Mi", "1500M", "1.5Gi", "1073741823", "16Ti", "512m", "0", "-1Gi", "1E30"),
	}
	if g.rarely() {
		resources.GPU = &v1beta1.GPU{
			Type:  pick(g, "nvidia.com/GA100_A100_PCIE_40GB", "nvidia.com/gpu", "vendor.example/a.b-c", "gpu", "kubernetes.io/x", "a/b/c", ""),
			Count: pick(g, int32(1), 2, 64, 65, 0, -1),
		}
	}
	return resources
}

func (g generator) quantity(values ...string) resource.Quantity {
	return resource.MustParse(pick(g, values...))
}

func (g generator) storage() v1beta1.Storage {
	storage := v1beta1.Storage{Root: v1beta1.RootDisk{
		PVC: v1beta1.RootDiskClaim{
			Size:       g.quantity("4Gi", "1Mi", "1500M", "8Pi", "1023Ki", "100m", "0", "-4Gi", "1E30"),
			VolumeMode: pick(g, corev1.PersistentVolumeMode(""), "Filesystem", "Block", "File"),
			AccessModes: pick(g, nil, []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"}, []corev1.PersistentVolumeAccessMode{"ReadWriteMany"},
				[]corev1.PersistentVolumeAccessMode{"ReadOnlyMany"}, []corev1.PersistentVolumeAccessMode{"ReadWriteOncePod"},
				[]corev1.PersistentVolumeAccessMode{"ReadWriteOnce", "ReadWriteMany"}, []corev1.PersistentVolumeAccessMode{"RWO"}),
			StorageClassName: pick(g, nil, ptr.To("cephfs-hdd"), ptr.To(""), ptr.To("a.b"), ptr.To("A b")),
		},
		Source:         g.source(),
		Bus:            g.bus(),
		Ephemeral:      g.rarely(),
		DeletionPolicy: pick(g, v1beta1.DeletionPolicy(""), "Delete", "Retain", "Keep"),
	}}
	if g.rarely() {
		storage.Root = g.existingRoot()
	}
	for range g.Intn(4) {
		storage.AdditionalDisks = append(storage.AdditionalDisks, g.disk())
	}
	for range g.Intn(3) {
		storage.Filesystems = append(storage.Filesystems, v1beta1.Filesystem{Name: g.name(), VolumeSource: g.volume()})
	}
	return storage
}

func (g generator) disk() v1beta1.AdditionalDisk {
	disk := v1beta1.AdditionalDisk{
		Name:   g.name(),
		Bus:    g.bus(),
		Serial: pick(g, "", "CVLY623300HK240D", "a_.+-", strings.Repeat("S", 20), strings.Repeat("S", 21), "a b", "ä"),
	}
	switch g.Intn(8) {
	case 0:
		disk.EmptyDisk = &v1beta1.EmptyDiskSource{Capacity: g.quantity("1Gi", "1Mi", "1Ki", "0", "1E30")}
	case 1:
		disk.ContainerDisk = g.containerDisk()
	default:
		disk.VolumeSource = g.volume()
	}
	return disk
}

func (g generator) containerDisk() *v1beta1.ContainerDiskSource {
	return &v1beta1.ContainerDiskSource{
		Image: pick(g, "registry.example.com/a/b:c", "a", "r.example.com:5000/a@sha256:"+strings.Repeat("0", 64), "r.example.com:5000/a@sha256:0",
			"a b", "", "docker://a", "Team/a", "a:", "r.example.com:0/a", "a/b:c@sha256:"+strings.Repeat("0", 64)),
		ImagePullSecret: pick(g, "", "pull", "A"),
		Path:            pick(g, "", "/disk/disk.img", "/", "a", "/a/../b", "//", "/a//b"),
		ImagePullPolicy: pick(g, corev1.PullPolicy(""), "Always", "IfNotPresent", "Never", "x"),
	}
}

func (g generator) volume() v1beta1.VolumeSource {
	volume := v1beta1.VolumeSource{}
	label := pick(g, "", "LABEL", strings.Repeat("L", 32), strings.Repeat("L", 33), "-x")
	switch g.Intn(7) {
	case 0:
		volume.PersistentVolumeClaim = &v1beta1.PersistentVolumeClaimSource{ClaimName: g.name(), ReadOnly: g.rarely()}
	case 2:
		volume.Ephemeral = &v1beta1.EphemeralSource{PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: g.name()}}
	case 3:
		volume.ConfigMap = &v1beta1.ConfigMapSource{Name: g.name(), VolumeLabel: label, Optional: pick(g, nil, ptr.To(true))}
	case 4:
		volume.Secret = &v1beta1.SecretSource{SecretName: g.name(), VolumeLabel: label}
	case 5:
		volume.ServiceAccount = &v1beta1.ServiceAccountSource{ServiceAccountName: g.name()}
	default:
		volume.DownwardAPI = &v1beta1.DownwardAPISource{VolumeLabel: label, Fields: []corev1.DownwardAPIVolumeFile{{
			Path: pick(g, "labels", "a/b", "..", "/a", ""),
			FieldRef: &corev1.ObjectFieldSelector{FieldPath: pick(g, "metadata.labels", "metadata.name", "metadata.annotations['a/b']",
				"metadata.labels['x y']", "spec.nodeName", "")},
		}}}
	}
	if rare, rarer := g.rarely(), g.rarely(); rare && rarer {
		volume.Secret = &v1beta1.SecretSource{SecretName: g.name()}
	}
	return volume
}

func (g generator) network() v1beta1.Network {
	network := v1beta1.Network{
		TCP:        pick(g, nil, []int32{22}, []int32{80, 5901}, []int32{65535, 1}, []int32{0}, []int32{65536}, []int32{1, 1}),
		UDP:        pick(g, nil, []int32{53}, []int32{22, 80}, []int32{-1}),
		MACAddress: pick(g, "", "02:00:00:4c:1f:07", "FE:FF:FF:FF:FF:FF", "02:00:00:00:00:00", "01:00:00:00:00:00", "02-00-00-4C-1f-07", "0200.004c.1f07", "x"),
		DNSPolicy:  pick(g, corev1.DNSPolicy(""), "ClusterFirst", "Default", "None", "ClusterFirstWithHostNet", "x"),
	}
	if g.rarely() {
		network.Ports = append(network.Ports, v1beta1.Port{Name: pick(g, "http", "tcp-22", "a", "Http", "a.b", ""), Port: pick(g, int32(8080), 22, 80, 0, 65536),
			Protocol: pick(g, corev1.Protocol(""), "TCP", "UDP", "SCTP")})
	}
	if g.Intn(3) == 0 {
		network.DNSConfig = &corev1.PodDNSConfig{
			Nameservers: pick(g, []string{"192.0.2.1"}, nil, []string{"2001:db8::1", "192.0.2.1", "192.0.2.2"}, []string{"a"}, []string{"1", "2", "3", "4"}),
			Searches: pick(g, nil, []string{"example.com"}, strings.Split("a b c d e f", " "), strings.Split("a b c d e f g", " "), []string{"_a"},
				[]string{"192.0.2.1"}, []string{"a.1b", "2"}, []string{strings.Repeat("a", 64) + ".b"}, []string{"1.a"},
				[]string{strings.Repeat("a", 63) + ".b", strings.Repeat("a", 63) + ".c", strings.Repeat("a", 63), strings.Repeat("b", 60)}),
			Options: pick(g, nil, []corev1.PodDNSConfigOption{{Name: "ndots", Value: ptr.To("2")}}, []corev1.PodDNSConfigOption{{}}),
		}
	}
	return network
}

func (g generator) url() string {
	return pick(g, "https://images.example.com/a.img", "http://192.0.2.1/a", "https://[2001:db8::1]:8443/a?b=c", "gs://bucket/key",
		"docker://registry.example.com/a:b", "oci-archive:///a.tar", "ftp://a/b", "https://", "https://s3.example.com/bucket/key", "a b", "", "https://a/\x7f", "s3://a/b",
		"https://a:0/b", "https://a:70000/b", "https://a/b c", "https://a..b/c", "https://192.0.2.256/a", "https://a_b.c:443/d", "docker://A/B",
		"docker://a:", "https://-a.b/c", "https://a/b.zip")
}

func (g generator) source() cdiv1.DataVolumeSource {
	names := func() string { return pick(g, "", "login", "A") }
	switch g.Intn(12) {
	case 0, 1:
		return cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{
			URL: g.url(), SecretRef: names(), CertConfigMap: names(),
			ExtraHeaders: pick(g, nil, []string{"A: b"}, []string{"A"}), SecretExtraHeaders: pick(g, nil, []string{"a"}, []string{""}),
			Checksum: pick(g, "", "sha256:"+strings.Repeat("a", 64), "MD5: "+strings.Repeat("0", 32), "sha1:00", "x", "sha512:"+strings.Repeat("g", 128)),
		}}
	case 2:
		return cdiv1.DataVolumeSource{S3: &cdiv1.DataVolumeSourceS3{URL: g.url(), SecretRef: names(), CertConfigMap: names()}}
	case 3:
		return cdiv1.DataVolumeSource{GCS: &cdiv1.DataVolumeSourceGCS{URL: g.url(), SecretRef: names()}}
	case 4, 5:
		registry := &cdiv1.DataVolumeSourceRegistry{
			PullMethod: pick(g, nil, ptr.To(cdiv1.RegistryPullPod), ptr.To(cdiv1.RegistryPullNode), ptr.To(cdiv1.RegistryPullMethod("x"))),
			SecretRef:  pick(g, nil, ptr.To("login"), ptr.To("")),
			Platform:   pick(g, nil, &cdiv1.PlatformOptions{Architecture: "arm64"}),
		}
		registry.URL = pick(g, ptr.To("docker://registry.example.com/a:b"), ptr.To(g.url()), nil)
		registry.ImageStream = pick(g, nil, nil, ptr.To("stream"), ptr.To(""))
		return cdiv1.DataVolumeSource{Registry: registry}
	case 6:
		return cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: pick(g, "default", "golden", ""), Name: g.name()}}
	case 7:
		return cdiv1.DataVolumeSource{Snapshot: &cdiv1.DataVolumeSourceSnapshot{Namespace: pick(g, "default", "golden", "a.b"), Name: g.name()}}
	case 8:
		return cdiv1.DataVolumeSource{Upload: &cdiv1.DataVolumeSourceUpload{}, Blank: pick(g, nil, nil, &cdiv1.DataVolumeBlankImage{})}
	case 9:
		return cdiv1.DataVolumeSource{Imageio: &cdiv1.DataVolumeSourceImageIO{
			URL: g.url(), DiskID: pick(g, "1", ""), SecretRef: names(), CertConfigMap: names(), InsecureSkipVerify: pick(g, nil, ptr.To(true), ptr.To(false)),
		}}
	case 10:
		return cdiv1.DataVolumeSource{VDDK: &cdiv1.DataVolumeSourceVDDK{
			URL: g.url(), UUID: pick(g, "u", ""), BackingFile: pick(g, "[d] f", ""), Thumbprint: pick(g, "t", ""), SecretRef: pick(g, "login", names()),
			InitImageURL: pick(g, "", "a/b", "https://a"), ExtraArgs: names(),
		}}
	default:
		return cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}
	}
}
