package status

import (
	"net/netip"
	"slices"
	"strings"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// setGuest reports where the machine runs and what its guest says.
func (f *facts) setGuest(status *v1beta1.VirtualServerStatus) {
	status.Disks = translate.Disks(f.vs)
	status.VM.InstanceUID, status.Node, status.IPAddresses, status.GuestOS, status.StopDeadline = "", "", nil, nil, nil
	status.Resources = nil
	if f.endsAsAsked() {
		status.VM.InstanceUID = f.Instance.UID
	}
	vmi := f.live
	if vmi == nil {
		return
	}
	status.VM.InstanceUID = vmi.UID
	status.Node = vmi.Status.NodeName
	status.Resources = resourcesOf(&vmi.Spec.Domain)
	status.IPAddresses, status.GuestOS = f.addresses(), guestOS(vmi)
	if f.before.VM.InstanceUID == vmi.UID {
		// A guest agent that is silent for a moment has not taken back what it told about this run.
		if len(status.IPAddresses) == 0 {
			status.IPAddresses = slices.Clone(f.before.IPAddresses)
		}
		if status.GuestOS == nil {
			status.GuestOS = f.before.GuestOS.DeepCopy()
		}
	}
	for _, volume := range vmi.Status.VolumeStatus {
		for i := range status.Disks {
			// KubeVirt numbers all disks that are not virtio's in the order of the machine, whatever their bus.
			if status.Disks[i].Name == volume.Name && strings.HasPrefix(volume.Target, "vd") {
				status.Disks[i].Device = "/dev/" + volume.Target
			}
		}
	}
	status.StopDeadline = f.stopDeadline()
}

func guestOS(vmi *kubevirtv1.VirtualMachineInstance) *v1beta1.GuestOS {
	guest := v1beta1.GuestOS{
		Name:          vmi.Status.GuestOSInfo.Name,
		Version:       vmi.Status.GuestOSInfo.Version,
		PrettyName:    vmi.Status.GuestOSInfo.PrettyName,
		KernelRelease: vmi.Status.GuestOSInfo.KernelRelease,
	}
	if guest == (v1beta1.GuestOS{}) {
		return nil
	}
	return &guest
}

// insideMasquerade are the networks between the guest and its pod, the same in every machine (the defaults of vmNetworkCIDR
// and vmIPv6NetworkCIDR in kubevirt.io/api/core/v1).
var insideMasquerade = []netip.Prefix{netip.MustParsePrefix("10.0.2.0/24"), netip.MustParsePrefix("fd10:0:2::/120")}

// addresses returns those by which others reach the machine, the pod's first: with masquerade that is where the guest is
// found. The guest agent tells of other interfaces too, which have no name here, and may hide the pod's addresses behind
// the guest's own.
func (f *facts) addresses() []string {
	podNetwork := kubevirtv1.DefaultPodNetwork().Name
	var reported []string
	if pod := f.podOf(f.live); pod != nil && pod.Spec.NodeName == f.live.Status.NodeName {
		for _, address := range pod.Status.PodIPs {
			reported = append(reported, address.IP)
		}
	}
	if len(reported) == 0 {
		reported = f.reportedOf(podNetwork)
	}
	for _, network := range f.live.Spec.Networks {
		if network.Name != podNetwork {
			reported = append(reported, f.reportedOf(network.Name)...)
		}
	}
	var addresses []string
	for _, text := range reported {
		if reachable(text) && !slices.Contains(addresses, text) {
			addresses = append(addresses, text)
		}
	}
	return addresses
}

// reportedOf returns the addresses that KubeVirt reports for a network of the machine.
func (f *facts) reportedOf(network string) []string {
	var addresses []string
	for _, nic := range f.live.Status.Interfaces {
		switch {
		case nic.Name != network:
		case len(nic.IPs) > 0:
			addresses = append(addresses, nic.IPs...)
		default:
			addresses = append(addresses, nic.IP)
		}
	}
	return addresses
}

func reachable(text string) bool {
	address, err := netip.ParseAddr(text)
	if err != nil || address.IsUnspecified() || address.IsLinkLocalUnicast() {
		return false
	}
	return !slices.ContainsFunc(insideMasquerade, func(inside netip.Prefix) bool { return inside.Contains(address) })
}
