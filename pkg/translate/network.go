package translate

import (
	"cmp"
	"net"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/naming"
)

// networkInterface connects the machine to the pod network by masquerade, the binding that works with every pod network.
// It names no ports, which forwards every port to the guest: spec.network says what the Service exposes, and "portforward"
// must reach port 22 all the same. A list of ports here would also make every new port wait for a restart.
func networkInterface(network v1beta1.Network) kubevirtv1.Interface {
	nic := *kubevirtv1.DefaultMasqueradeNetworkInterface()
	nic.MacAddress = normalMAC(network.MACAddress)
	return nic
}

// normalMAC writes a MAC address as libvirt and Linux do, with colons and small letters.
func normalMAC(address string) string {
	parsed, err := net.ParseMAC(address)
	if err != nil {
		return address
	}
	return parsed.String()
}

// sameMAC compares MAC addresses without regard to how they are written.
func sameMAC(a, b string) bool { return normalMAC(a) == normalMAC(b) }

// ports returns the TCP ports, then the UDP ports, then those with names, sorted because their order in the spec means nothing,
// with names that differ even where the numbers do not.
func ports(network v1beta1.Network) []corev1.ServicePort {
	var all []corev1.ServicePort
	add := func(name string, protocol corev1.Protocol, number int32) {
		all = append(all, corev1.ServicePort{Name: name, Protocol: protocol, Port: number, TargetPort: intstr.FromInt32(number)})
	}
	for _, number := range slices.Sorted(slices.Values(network.TCP)) {
		add(naming.PortName(corev1.ProtocolTCP, number), corev1.ProtocolTCP, number)
	}
	for _, number := range slices.Sorted(slices.Values(network.UDP)) {
		add(naming.PortName(corev1.ProtocolUDP, number), corev1.ProtocolUDP, number)
	}
	named := slices.SortedFunc(slices.Values(network.Ports), func(a, b v1beta1.Port) int { return strings.Compare(a.Name, b.Name) })
	for _, port := range named {
		add(port.Name, cmp.Or(port.Protocol, corev1.ProtocolTCP), port.Port)
	}
	return all
}

// dnsConfig returns nil for an empty configuration, which means the same.
func dnsConfig(network v1beta1.Network) *corev1.PodDNSConfig {
	config := network.DNSConfig
	if config == nil || len(config.Nameservers)+len(config.Searches)+len(config.Options) == 0 {
		return nil
	}
	return config.DeepCopy()
}

// Service returns the Service that exposes the ports of the machine, or nil if there are none: Kubernetes refuses a
// Service without ports.
func Service(vs *v1beta1.VirtualServer) *corev1.Service {
	all := ports(vs.Spec.Network)
	if len(all) == 0 {
		return nil
	}
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: objectMeta(vs),
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeClusterIP,
			Selector: map[string]string{LabelMachine: vs.Status.VM.Name},
			Ports:    all,
		},
	}
}

// MergeService writes our ports, selector, labels and annotations over a copy of the live Service, and says whether that
// changed anything. The type is not ours once the Service exists: somebody may have made it a NodePort or a LoadBalancer.
func MergeService(live, desired *corev1.Service) (*corev1.Service, bool) {
	merged := live.DeepCopy()
	mergeMeta(&merged.ObjectMeta, &desired.ObjectMeta)
	if !equality.Semantic.DeepEqual(merged.Spec.Selector, desired.Spec.Selector) {
		merged.Spec.Selector = desired.DeepCopy().Spec.Selector
	}
	merged.Spec.Ports = mergePorts(live.Spec.Ports, desired.Spec.Ports)
	return merged, !equality.Semantic.DeepEqual(live, merged)
}

// mergePorts keeps what Kubernetes or others set on a port of ours: the node port and the application protocol. Ports of
// others go, since the list of ports is what the user wrote. A port is known by its number: it may get a name later.
func mergePorts(live, desired []corev1.ServicePort) []corev1.ServicePort {
	type number struct {
		protocol corev1.Protocol
		port     int32
	}
	known := make(map[number]corev1.ServicePort, len(live))
	for _, port := range live {
		known[number{cmp.Or(port.Protocol, corev1.ProtocolTCP), port.Port}] = port
	}
	merged := make([]corev1.ServicePort, 0, len(desired))
	for _, port := range desired {
		if old, found := known[number{port.Protocol, port.Port}]; found {
			port.NodePort = old.NodePort
			port.AppProtocol = copyOf(old.AppProtocol)
		}
		merged = append(merged, port)
	}
	return merged
}
