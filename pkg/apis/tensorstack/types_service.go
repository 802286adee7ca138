package tensorstack

import (
	corev1 "k8s.io/api/core/v1"
)

// Port is a port that the Service of a machine exposes under a name.
type Port struct {
	// name is the name of the port: lower-case letters, digits and '-', at most 63 characters.
	Name string
	// port is the number of the port, from 1 to 65535, in the guest and on the Service.
	Port int32
	// protocol is TCP or UDP. Defaults to TCP.
	Protocol corev1.Protocol
}

// ServiceStatus says how others reach the machine through its Service.
type ServiceStatus struct {
	// name is the name of the Service.
	Name string
	// dnsName is the DNS name of the Service. It resolves in the pods and the machines of the cluster.
	DNSName string
	// type is the type of the Service: ClusterIP, or what somebody has changed it to, such as NodePort or LoadBalancer.
	Type corev1.ServiceType
	// clusterIPs are the addresses of the Service within the cluster.
	ClusterIPs []string
	// loadBalancerAddresses are the IP addresses or host names of the load balancer and the external IPs of the Service, by
	// which its ports are reached from outside the cluster.
	LoadBalancerAddresses []string
	// nodeAddress is the address of the node that the machine runs on, by which the node ports are reached.
	NodeAddress string
	// nodePorts are the ports of the nodes that lead to those of the Service.
	NodePorts []NodePortStatus
}

// NodePortStatus is a port of every node that leads to a port of the Service.
type NodePortStatus struct {
	// port is the port of the Service.
	Port int32
	// protocol is TCP or UDP.
	Protocol corev1.Protocol
	// nodePort is the port of the nodes.
	NodePort int32
}
