package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestService(t *testing.T) {
	service := func(change func(*corev1.Service)) *corev1.Service {
		service := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: "managed-virtualserver-9dda9", Namespace: "team"},
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIPs: []string{"10.96.0.7", "fd00::7"},
				Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}, {Port: 53, Protocol: corev1.ProtocolUDP}}},
		}
		change(service)
		return service
	}
	ports := []v1beta1.NodePortStatus{{Port: 80, Protocol: "TCP", NodePort: 30080}, {Port: 53, Protocol: "UDP", NodePort: 30053}}
	open := func(service *corev1.Service) {
		service.Spec.Ports[0].NodePort, service.Spec.Ports[1].NodePort = 30080, 30053
	}
	node := &corev1.Node{Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
		{Type: corev1.NodeHostName, Address: "node-a"}, {Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}}}
	const name, dns = "managed-virtualserver-9dda9", "managed-virtualserver-9dda9.team.svc"
	both := []string{"10.96.0.7", "fd00::7"}
	for what, test := range map[string]struct {
		service *corev1.Service
		node    *corev1.Node
		want    *v1beta1.ServiceStatus
	}{
		"none":          {nil, node, nil},
		"being deleted": {service(func(s *corev1.Service) { s.DeletionTimestamp = ptr.To(metav1.Now()) }), node, nil},
		"as it is made": {service(func(*corev1.Service) {}), node, &v1beta1.ServiceStatus{Name: name, DNSName: dns, Type: "ClusterIP", ClusterIPs: both}},
		"headless":      {service(func(s *corev1.Service) { s.Spec.ClusterIPs = []string{"None"} }), node, &v1beta1.ServiceStatus{Name: name, DNSName: dns, Type: "ClusterIP"}},
		"on every node": {service(func(s *corev1.Service) { s.Spec.Type = "NodePort"; open(s) }), node,
			&v1beta1.ServiceStatus{Name: name, DNSName: dns, Type: "NodePort", ClusterIPs: both, NodeAddress: "192.0.2.1", NodePorts: ports}},
		"on every node, without one": {service(func(s *corev1.Service) { s.Spec.Type = "NodePort"; open(s) }), nil,
			&v1beta1.ServiceStatus{Name: name, DNSName: dns, Type: "NodePort", ClusterIPs: both, NodePorts: ports}},
		"a balancer to come": {service(func(s *corev1.Service) { s.Spec.Type = "LoadBalancer" }), node,
			&v1beta1.ServiceStatus{Name: name, DNSName: dns, Type: "LoadBalancer", ClusterIPs: both}},
		"a balancer": {service(func(s *corev1.Service) {
			s.Spec.Type, s.Spec.ExternalIPs = "LoadBalancer", []string{"203.0.113.9", "203.0.113.7"}
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.7"}, {Hostname: "lb.example.com"}, {}}
			open(s)
		}), node, &v1beta1.ServiceStatus{Name: name, DNSName: dns, Type: "LoadBalancer", ClusterIPs: both, NodeAddress: "192.0.2.1", NodePorts: ports,
			LoadBalancerAddresses: []string{"203.0.113.7", "lb.example.com", "203.0.113.9"}}},
	} {
		t.Run(what, func(t *testing.T) {
			f := facts{Observed: Observed{Service: test.service, Node: test.node}}
			assert.Equal(t, test.want, f.service())
		})
	}
	outside := &corev1.Node{Status: corev1.NodeStatus{Addresses: append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "203.0.113.1"})}}
	require.Equal(t, "203.0.113.1", nodeAddress(outside))
	require.Empty(t, nodeAddress(&corev1.Node{}))
}
