package cluster

import (
	"fmt"
	"hash/fnv"

	"k8s.io/apimachinery/pkg/types"
)

// PodAddress is the address of an ordinary pod. Nothing listens there: it only
// lets Services get endpoints, which Kubernetes refuses for loopback addresses.
func PodAddress(uid types.UID) string {
	n := hash(uid)
	return fmt.Sprintf("10.%d.%d.%d", 128+n>>16&0x7f, n>>8&0xff, host(n))
}

// ImporterAddress is the loopback address of an importer pod, where its
// progress is served.
func ImporterAddress(uid types.UID) string {
	n := hash(uid)
	return fmt.Sprintf("127.%d.%d.%d", 64+n>>16&0x3f, n>>8&0xff, host(n))
}

// MachineAddress is the loopback address of a machine, where its own servers
// listen. It follows from the machine's UID, so that it survives the agent.
func MachineAddress(uid types.UID) string {
	n := hash(uid)
	return fmt.Sprintf("127.%d.%d.%d", 128+n>>16&0x3f, n>>8&0xff, host(n))
}

// hash spreads identities over addresses. Two of ten thousand may meet, which
// costs them their listeners and nothing else.
func hash(uid types.UID) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(uid))
	n := h.Sum32()
	return n ^ n>>15
}

// host avoids 0 and 255, which some tools take for a network or a broadcast.
func host(n uint32) uint32 { return n%254 + 1 }
