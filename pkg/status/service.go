package status

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// service says how others reach the machine through its Service, or nil without one.
func (f *facts) service() *v1beta1.ServiceStatus {
	service := f.Service
	if service == nil || service.DeletionTimestamp != nil {
		return nil
	}
	status := &v1beta1.ServiceStatus{
		Name: service.Name,
		// The domain of the cluster is in the search list of every pod, and of every machine with dnsPolicy ClusterFirst.
		DNSName: service.Name + "." + service.Namespace + ".svc",
		Type:    service.Spec.Type,
	}
	for _, address := range service.Spec.ClusterIPs {
		if address != corev1.ClusterIPNone {
			status.ClusterIPs = append(status.ClusterIPs, address)
		}
	}
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if address := ingress.IP; address != "" {
			status.LoadBalancerAddresses = append(status.LoadBalancerAddresses, address)
		} else if ingress.Hostname != "" {
			status.LoadBalancerAddresses = append(status.LoadBalancerAddresses, ingress.Hostname)
		}
	}
	for _, address := range service.Spec.ExternalIPs {
		if !slices.Contains(status.LoadBalancerAddresses, address) {
			status.LoadBalancerAddresses = append(status.LoadBalancerAddresses, address)
		}
	}
	for _, port := range service.Spec.Ports {
		if port.NodePort != 0 {
			status.NodePorts = append(status.NodePorts, v1beta1.NodePortStatus{Port: port.Port, Protocol: port.Protocol, NodePort: port.NodePort})
		}
	}
	if len(status.NodePorts) > 0 {
		status.NodeAddress = nodeAddress(f.Node)
	}
	return status
}

// nodeAddress returns the address of the node that is known furthest around. The machine's own node is right whatever the
// Service's externalTrafficPolicy says.
func nodeAddress(node *corev1.Node) string {
	if node == nil {
		return ""
	}
	for _, kind := range []corev1.NodeAddressType{corev1.NodeExternalIP, corev1.NodeExternalDNS, corev1.NodeInternalIP, corev1.NodeInternalDNS} {
		for _, address := range node.Status.Addresses {
			if address.Type == kind {
				return address.Address
			}
		}
	}
	return ""
}
