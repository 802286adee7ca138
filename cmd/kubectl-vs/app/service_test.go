package app

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestHowOthersReachAMachine(t *testing.T) {
	shown := func(service *v1beta1.ServiceStatus) map[string]string {
		rows := map[string]string{}
		writeService(func(name, value string) {
			if value != "" {
				rows[name] = value
			}
		}, service)
		return rows
	}
	assert.Empty(t, shown(nil))
	service := &v1beta1.ServiceStatus{Name: "m", DNSName: "m.team.svc", Type: "ClusterIP", ClusterIPs: []string{"10.96.0.7", "fd00::7"}}
	assert.Equal(t, map[string]string{"Service": "m.team.svc (10.96.0.7, fd00::7)"}, shown(service))
	service.LoadBalancerAddresses = []string{"203.0.113.7", "lb.example.com"}
	service.NodePorts = []v1beta1.NodePortStatus{{Port: 80, Protocol: "TCP", NodePort: 30080}}
	assert.Equal(t, map[string]string{"Service": "m.team.svc (10.96.0.7, fd00::7)", "From outside": "203.0.113.7, lb.example.com",
		"Node ports": "30080 to 80/TCP"}, shown(service))
	service.NodeAddress = "fd00::1"
	for port := range int32(9) {
		service.NodePorts = append(service.NodePorts, v1beta1.NodePortStatus{Port: port, Protocol: "UDP", NodePort: 31000 + port})
	}
	assert.Contains(t, shown(service)["Node ports"], "[fd00::1]:30080 to 80/TCP, [fd00::1]:31000 to 0/UDP")
	assert.Contains(t, shown(service)["Node ports"], ", 2 more")
}
