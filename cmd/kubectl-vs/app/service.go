package app

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// maxNodePorts is how many node ports "kubectl vs status" shows.
const maxNodePorts = 8

// writeService says by which names and addresses others reach the machine.
func writeService(row func(name, value string), service *v1beta1.ServiceStatus) {
	if service == nil {
		return
	}
	name := service.DNSName
	if len(service.ClusterIPs) > 0 {
		name += " (" + strings.Join(service.ClusterIPs, ", ") + ")"
	}
	row("Service", name)
	row("From outside", strings.Join(service.LoadBalancerAddresses, ", "))
	var ports []string
	for _, port := range service.NodePorts[:min(len(service.NodePorts), maxNodePorts)] {
		address := strconv.Itoa(int(port.NodePort))
		if service.NodeAddress != "" {
			address = net.JoinHostPort(service.NodeAddress, address)
		}
		ports = append(ports, fmt.Sprintf("%s to %d/%s", address, port.Port, port.Protocol))
	}
	if more := len(service.NodePorts) - len(ports); more > 0 {
		ports = append(ports, fmt.Sprintf("%d more", more))
	}
	row("Node ports", strings.Join(ports, ", "))
}
