package guide

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// emptyOn is a blank disk on a bus, with a serial.
func emptyOn(bus v1beta1.DiskBus, serial string) v1beta1.AdditionalDisk {
	return v1beta1.AdditionalDisk{
		Name: "on-" + string(bus), Bus: bus, Serial: serial, EmptyDisk: &v1beta1.EmptyDiskSource{Capacity: resource.MustParse("64Mi")},
	}
}

// diskNamed returns what the guest calls the disk with that serial.
func (g *guest) diskNamed(serial string) string {
	g.e.T.Helper()
	// SATA takes a while to look at its ports.
	var name string
	g.e.Within(commandTimeout, "the disk "+serial, func() error {
		name = strings.TrimSpace(g.run("for d in /sys/block/[sv]d*; do [ \"$(disk-serial ${d##*/})\" = " + serial + " ] && echo ${d##*/}; done; true"))
		if name == "" {
			return errors.New("no disk has that serial")
		}
		return nil
	})
	return name
}

func TestFirmwareBusesAndPlacementOfAGuest(t *testing.T) {
	if os.Getenv("FIELDS") == "" {
		t.Skip("boots guests of other kinds of hardware: make test-fields")
	}
	e := newEnvironment(t)
	nodes := strings.Fields(e.MustKubectl("get", "nodes", "-o", `jsonpath={.items[*].metadata.labels.kubernetes\.io/hostname}`))
	require.NotEmpty(t, nodes)
	node := nodes[len(nodes)-1]
	priority := e.Namespace + "-high"
	e.MustKubectl("create", "priorityclass", priority, "--value=1000")
	t.Cleanup(func() { e.Kubectl("delete", "priorityclass", priority, "--wait=false") })
	const name, uuid = "fields", "3d2a7e9c-5a1e-4b5e-9a53-2f0a3ce9b1d4"
	e.Create(small(e, name, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Firmware = &v1beta1.Firmware{UUID: uuid, Serial: "SN-0001", Bootloader: &v1beta1.Bootloader{EFI: &v1beta1.EFI{SecureBoot: ptr.To(false)}}}
		vs.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{emptyOn("sata", "SATA-0001"), emptyOn("scsi", "SCSI-0001"), emptyOn("virtio", "VIRTIO-0001")}
		vs.Spec.Network.MACAddress = "DE-AD-00-00-BE-AF"
		vs.Spec.Network.Ports = []v1beta1.Port{{Name: "http", Port: 80}}
		vs.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
		vs.Spec.PriorityClassName = priority
		vs.Spec.CloudInit = "#!/bin/sh\ntrue\n"
	}))
	g := boot(e, name, "")
	status := e.Get(name).Status

	t.Run("the guest boots by EFI, which reports the UUID and the serial number", func(t *testing.T) {
		g := g.in(t)
		g.run("test -d /sys/firmware/efi")
		assert.Equal(t, uuid, strings.ToLower(strings.TrimSpace(g.run("cat /sys/class/dmi/id/product_uuid"))))
		assert.Equal(t, "SN-0001", strings.TrimSpace(g.run("cat /sys/class/dmi/id/product_serial")))
	})
	t.Run("disks on SATA, SCSI and virtio are found by their serials, where the status says", func(t *testing.T) {
		g := g.in(t)
		for i, want := range []struct{ serial, device, byID string }{
			{"root", "vda", "virtio-root"}, {"SATA-0001", "sda", "ata-QEMU_HARDDISK_SATA-0001"}, {"SCSI-0001", "sdb", "scsi-0QEMU_QEMU_HARDDISK_SCSI-0001"},
			{"VIRTIO-0001", "vdb", "virtio-VIRTIO-0001"},
		} {
			assert.Equal(t, "/dev/disk/by-id/"+want.byID, status.Disks[i].ByID)
			assert.Equal(t, "/dev/"+want.device, status.Disks[i].Device)
			// Whether SATA or SCSI comes first is the guest's choice; which of the two families it is, is not.
			assert.Equal(t, want.device[:2], g.diskNamed(want.serial)[:2], want.serial)
		}
		// What udev makes the paths of.
		sata, scsi := g.diskNamed("SATA-0001"), g.diskNamed("SCSI-0001")
		assert.Equal(t, "QEMU HARDDISK", strings.TrimSpace(g.run("cat /sys/block/"+sata+"/device/model")))
		assert.Equal(t, "QEMU", strings.TrimSpace(g.run("cat /sys/block/"+scsi+"/device/vendor")))
		assert.Equal(t, "QEMU HARDDISK", strings.TrimSpace(g.run("cat /sys/block/"+scsi+"/device/model")))
		assert.Contains(t, g.run("tr -cd 'A-Za-z0-9_-' < /sys/block/"+scsi+"/device/vpd_pg83"), "SCSI-0001")
	})
	t.Run("a MAC address with dashes is the one of the guest", func(t *testing.T) {
		assert.Equal(t, "de:ad:00:00:be:af", strings.TrimSpace(g.in(t).run("cat /sys/class/net/eth0/address")))
	})
	t.Run("the guest is called like its VirtualServer", func(t *testing.T) {
		assert.Equal(t, name, strings.TrimSpace(g.in(t).run("hostname")))
	})
	t.Run("the machine has its priority and runs on the node that was asked for", func(t *testing.T) {
		assert.Equal(t, node, status.Node)
		found := e.MustKubectl("get", "pods", "-l", "tensorstack.dev/virtualserver="+name, "-o", "jsonpath={.items[0].spec.priority} {.items[0].spec.priorityClassName}")
		assert.Equal(t, "1000 "+priority, found)
	})
	t.Run("the DNS name in the status leads to the port with a name", func(t *testing.T) {
		g.in(t).run("echo hello-by-name > /www/index.html")
		service := e.Get(name).Status.Service
		require.NotNil(t, service)
		assert.Contains(t, podThat(withT(e, t), "by-name", "wget -qO- http://"+service.DNSName+"/index.html"), "hello-by-name")
		assert.Equal(t, "http", e.MustKubectl("get", "service", service.Name, "-o", "jsonpath={.spec.ports[0].name}"))
	})
}

// A machine boots from a claim that an earlier one has left, on SATA, and leaves it when it goes.
func TestRootDiskInAClaimThatExists(t *testing.T) {
	if os.Getenv("FIELDS") == "" {
		t.Skip("boots guests of other kinds of hardware: make test-fields")
	}
	e := newEnvironment(t)
	e.Create(small(e, "earlier", func(vs *v1beta1.VirtualServer) {
		vs.Spec.RunStrategy = v1beta1.RunStrategyHalted
		vs.Spec.Storage.Root.DeletionPolicy = v1beta1.DeletionPolicyRetain
	}))
	e.WaitFor(bootTimeout, "earlier", "has its image", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.Import == nil || vs.Status.Import.Phase != "Succeeded" {
			return "not imported"
		}
		return ""
	})
	claim := e.MachineName("earlier")
	e.MustKubectl("delete", "virtualserver", "earlier")
	e.Create(small(e, "later", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root = v1beta1.RootDisk{Bus: v1beta1.DiskBusSATA, PersistentVolumeClaim: &v1beta1.RootDiskVolume{ClaimName: claim}}
		vs.Spec.CloudInit = "#!/bin/sh\ntrue\n"
	}))
	g := boot(e, "later", "")
	assert.Equal(t, "sda", g.diskNamed("root"))
	assert.Equal(t, "later", strings.TrimSpace(g.run("hostname")), "cloud-init's disk is on the same bus")
	g.run("echo kept > /boot/mine && sync")
	g = g.restart()
	assert.Equal(t, "kept", strings.TrimSpace(g.run("cat /boot/mine")))
	_, err := e.Client().Create(e.Context, small(e, "second", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root = v1beta1.RootDisk{PersistentVolumeClaim: &v1beta1.RootDiskVolume{ClaimName: claim}}
	}), metav1.CreateOptions{})
	require.ErrorContains(t, err, "is the root disk of VirtualServer later too")
	e.MustKubectl("delete", "virtualserver", "later")
	assert.Equal(t, "Bound", e.MustKubectl("get", "pvc", claim, "-o", "jsonpath={.status.phase}{.metadata.deletionTimestamp}"))
}
