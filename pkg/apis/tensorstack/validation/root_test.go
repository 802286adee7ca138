package validation

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/api/resource"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func existing(root tensorstack.RootDisk) func(*tensorstack.VirtualServerSpec) {
	return func(spec *tensorstack.VirtualServerSpec) { spec.Storage.Root = root }
}

func rootImage(image string) tensorstack.RootDisk {
	return tensorstack.RootDisk{ContainerDisk: &tensorstack.ContainerDiskSource{Image: image}}
}

func rootClaim(name string) tensorstack.RootDisk {
	return tensorstack.RootDisk{PersistentVolumeClaim: &tensorstack.RootDiskVolume{ClaimName: name}}
}

func TestRootDisksThatExist(t *testing.T) {
	with := func(root tensorstack.RootDisk, change func(*tensorstack.RootDisk)) func(*tensorstack.VirtualServerSpec) {
		change(&root)
		return existing(root)
	}
	const root = "spec.storage.root."
	checkRules(t, map[string]rule{
		"an image":       {existing(rootImage("registry.example.com/fedora:43")), nil},
		"no image":       {existing(rootImage("")), []string{root + "containerDisk.image Required"}},
		"a claim":        {existing(rootClaim("boot")), nil},
		"an overlay":     {with(rootClaim("boot"), func(root *tensorstack.RootDisk) { root.Ephemeral = true }), nil},
		"no claim":       {existing(rootClaim("")), []string{root + "persistentVolumeClaim.claimName Required"}},
		"no name":        {existing(rootClaim("A b")), []string{root + "persistentVolumeClaim.claimName PersistentVolumeClaim"}},
		"both":           {with(rootClaim("boot"), func(root *tensorstack.RootDisk) { root.ContainerDisk = rootImage("a").ContainerDisk }), []string{root + "persistentVolumeClaim keep one of the two"}},
		"a size":         {with(rootClaim("boot"), func(root *tensorstack.RootDisk) { root.PVC.Size = resource.MustParse("1Gi") }), []string{root + "pvc keep one of the two"}},
		"a source":       {with(rootImage("a"), func(root *tensorstack.RootDisk) { root.Source.Blank = &cdiv1.DataVolumeBlankImage{} }), []string{root + "source keep one of the two"}},
		"a deletion":     {with(rootClaim("boot"), func(root *tensorstack.RootDisk) { root.DeletionPolicy = "Delete" }), []string{root + "deletionPolicy nothing is deleted"}},
		"nothing at all": {existing(tensorstack.RootDisk{}), []string{root + "pvc.size Required", root + "pvc.volumeMode Required", root + "pvc.accessModes exactly one", root + "source Required", root + "deletionPolicy Required"}},
		"the claim a disk": {func(spec *tensorstack.VirtualServerSpec) {
			existing(rootClaim("boot"))(spec)
			disks(tensorstack.AdditionalDisk{Name: "a", VolumeSource: claim("boot")})(spec)
		}, []string{"spec.storage.additionalDisks[0] spec.storage.root already"}},
	})
}

func TestBuses(t *testing.T) {
	disk := func(bus tensorstack.DiskBus, readOnly bool) func(*tensorstack.VirtualServerSpec) {
		source := claim("c")
		source.PersistentVolumeClaim.ReadOnly = readOnly
		return disks(tensorstack.AdditionalDisk{Name: "a", Bus: bus, VolumeSource: source})
	}
	const bus = "spec.storage.additionalDisks[0].bus "
	checkRules(t, map[string]rule{
		"virtio": {disk("virtio", true), nil}, "sata": {disk("sata", false), nil}, "scsi": {disk("scsi", true), nil}, "none": {disk("", false), nil},
		"sata, only read": {disk("sata", true), []string{bus + "cannot be read-only"}},
		"usb":             {disk("usb", false), []string{bus + "Unsupported"}},
		"ide, for root":   {func(spec *tensorstack.VirtualServerSpec) { spec.Storage.Root.Bus = "ide" }, []string{"spec.storage.root.bus Unsupported"}},
		"sata, for root":  {func(spec *tensorstack.VirtualServerSpec) { spec.Storage.Root.Bus = "sata" }, nil},
		"in capitals":     {disk("SATA", false), []string{bus + "Unsupported"}},
	})
}

func TestTheKindOfRootDiskStays(t *testing.T) {
	made := *valid().Spec.Storage.Root.DeepCopy()
	for name, test := range map[string]struct {
		before, after tensorstack.RootDisk
		refused       bool
	}{
		"another image":       {rootImage("a"), rootImage("b"), false},
		"another claim":       {rootClaim("a"), rootClaim("b"), false},
		"an image, a claim":   {rootImage("a"), rootClaim("b"), false},
		"a claim for a disk":  {made, rootClaim("b"), true},
		"a disk for a claim":  {rootClaim("a"), made, true},
		"a disk for an image": {rootImage("a"), made, true},
	} {
		t.Run(name, func(t *testing.T) {
			old, updated := valid(), valid()
			old.Spec.Storage.Root, updated.Spec.Storage.Root = test.before, test.after
			errs := ValidateVirtualServerUpdate(updated, old)
			if !test.refused {
				assert.Empty(t, errs)
				return
			}
			requireErrors(t, []string{"spec.storage.root cannot change"}, errs)
		})
	}
}

func TestNamedPorts(t *testing.T) {
	ports := func(ports ...tensorstack.Port) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) {
			spec.Network.TCP, spec.Network.UDP, spec.Network.Ports = []int32{22}, []int32{53}, ports
		}
	}
	many := make([]tensorstack.Port, MaxPorts+1)
	const first = "spec.network.ports[0]."
	checkRules(t, map[string]rule{
		"two":                 {ports(tensorstack.Port{Name: "http", Port: 80, Protocol: "TCP"}, tensorstack.Port{Name: "dns", Port: 22, Protocol: "UDP"}), nil},
		"no name":             {ports(tensorstack.Port{Port: 80, Protocol: "TCP"}), []string{first + "name Required"}},
		"a bad name":          {ports(tensorstack.Port{Name: "Http", Port: 80, Protocol: "TCP"}), []string{first + "name lower case"}},
		"one name twice":      {ports(tensorstack.Port{Name: "a", Port: 80, Protocol: "TCP"}, tensorstack.Port{Name: "a", Port: 81, Protocol: "TCP"}), []string{"spec.network.ports[1].name Duplicate"}},
		"a name of ours":      {ports(tensorstack.Port{Name: "tcp-22", Port: 80, Protocol: "TCP"}), []string{first + "name Duplicate"}},
		"a port of the lists": {ports(tensorstack.Port{Name: "ssh", Port: 22, Protocol: "TCP"}), []string{first + "port Duplicate"}},
		"one port twice":      {ports(tensorstack.Port{Name: "a", Port: 80, Protocol: "TCP"}, tensorstack.Port{Name: "b", Port: 80, Protocol: "TCP"}), []string{"spec.network.ports[1].port Duplicate"}},
		"no port":             {ports(tensorstack.Port{Name: "a", Protocol: "TCP"}), []string{first + "port from 1 to 65535"}},
		"another protocol":    {ports(tensorstack.Port{Name: "a", Port: 80, Protocol: "SCTP"}), []string{first + "protocol Unsupported"}},
		"too many":            {ports(many...), []string{"spec.network.ports Too many"}},
	})
}
