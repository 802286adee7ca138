package status

import (
	"math/rand"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

type nic = kubevirtv1.VirtualMachineInstanceNetworkInterface

// Guests report the addresses of all their interfaces. Only those by which others reach the machine are told: every guest
// has the same address behind masquerade, and its bridges, tunnels and link-local addresses lead nowhere.
func TestAddressesAreThoseByWhichTheMachineIsReached(t *testing.T) {
	pod := nic{Name: "default", IP: "10.0.0.7", IPs: []string{"10.0.0.7", "fd00::7"}}
	inside := nic{Name: "default", IP: "10.0.2.2", IPs: []string{"10.0.2.2", "fd10:0:2::2", "fe80::858:aff:fef4:17"}}
	guest := []nic{
		{InterfaceName: "docker0", IP: "172.17.0.1", IPs: []string{"172.17.0.1"}},
		{InterfaceName: "lo", IP: "127.0.0.1", IPs: []string{"127.0.0.1", "::1"}},
		{InterfaceName: "cni0", IP: "10.244.0.1"},
		{InterfaceName: "eth1", IP: "fe80::1"},
	}
	second := nic{Name: "storage", IP: "192.0.2.9", IPs: []string{"192.0.2.9", "fe80::9"}}
	for what, test := range map[string]struct {
		nics []nic
		pod  []string
		node string
		want []string
	}{
		"no agent":                                 {[]nic{pod}, []string{"10.0.0.7", "fd00::7"}, "node-a", []string{"10.0.0.7", "fd00::7"}},
		"the agent hides the pod's":                {append([]nic{inside}, guest...), []string{"10.0.0.7"}, "node-a", []string{"10.0.0.7"}},
		"the pod is not known":                     {append([]nic{pod}, guest...), nil, "", []string{"10.0.0.7", "fd00::7"}},
		"nothing is known but what the guest sees": {append([]nic{inside}, guest...), nil, "", nil},
		"the pod is that of a migration's target":  {[]nic{pod}, []string{"10.0.9.9"}, "node-b", []string{"10.0.0.7", "fd00::7"}},
		"a second network":                         {append([]nic{second, inside}, guest...), []string{"10.0.0.7"}, "node-a", []string{"10.0.0.7", "192.0.2.9"}},
		"an address twice":                         {[]nic{pod, {Name: "storage", IP: "10.0.0.7"}}, nil, "", []string{"10.0.0.7", "fd00::7"}},
		"no address yet":                           {[]nic{{Name: "default"}}, nil, "node-a", nil},
		"not an address":                           {[]nic{{Name: "default", IP: "soon"}}, nil, "node-a", nil},
	} {
		t.Run(what, func(t *testing.T) {
			for range 10 {
				s := newScene(t, "Always")
				vmi := s.instance(firstUID, kubevirtv1.Running)
				vmi.Spec.Networks = append(vmi.Spec.Networks, kubevirtv1.Network{Name: "storage"})
				vmi.Status.Interfaces = append([]nic(nil), test.nics...)
				if what != "an address twice" && what != "a second network" {
					// The agent reports in the order of the guest.
					rand.Shuffle(len(vmi.Status.Interfaces), func(i, j int) {
						list := vmi.Status.Interfaces
						list[i], list[j] = list[j], list[i]
					})
				}
				s.LauncherPod.Spec.NodeName = test.node
				for _, address := range test.pod {
					s.LauncherPod.Status.PodIPs = append(s.LauncherPod.Status.PodIPs, corev1.PodIP{IP: address})
				}
				assert.Equal(t, test.want, s.derive().IPAddresses)
			}
		})
	}
}

// A guest agent that answers now and then must not make the status flicker: each change is a write that everybody who
// watches gets.
func TestWhatTheGuestToldStaysForItsRun(t *testing.T) {
	s := newScene(t, "Always")
	vmi := s.instance(firstUID, kubevirtv1.Running)
	tell := func(system string, addresses ...string) v1beta1.VirtualServerStatus {
		vmi.Status.GuestOSInfo = kubevirtv1.VirtualMachineInstanceGuestOSInfo{Name: system}
		vmi.Status.Interfaces = []nic{{Name: "default", IPs: addresses}}
		return s.derive()
	}
	assert.Nil(t, tell("").GuestOS)
	told := tell("Ubuntu", "10.0.0.7")
	assert.Equal(t, &v1beta1.GuestOS{Name: "Ubuntu"}, told.GuestOS)
	for range 3 {
		assert.Equal(t, told, tell(""), "the agent does not answer")
		assert.Equal(t, told, tell("", "10.0.2.2"), "the agent tells half")
		assert.Equal(t, told, tell("Ubuntu", "10.0.0.7"))
	}
	assert.Equal(t, "Fedora", tell("Fedora", "10.0.0.7").GuestOS.Name, "what it tells anew counts")
	assert.Equal(t, []string{"10.0.0.8"}, tell("Fedora", "10.0.0.8").IPAddresses)

	vmi = s.instance(nextUID, kubevirtv1.Running)
	next := s.derive()
	assert.Nil(t, next.GuestOS, "another run may boot another system")
	assert.Empty(t, next.IPAddresses)
	tell("Fedora", "10.0.0.9")
	s.gone()
	stopped := s.derive()
	assert.Nil(t, stopped.GuestOS)
	assert.Empty(t, stopped.IPAddresses)
}
