// Package network gives a lab its addresses and builds the links between the machine and its nodes.
//
// All interfaces but one are in network namespaces that die with a process: the lab's switch and its nodes. The one in
// the machine's own namespace is the end of a veth pair whose other end is in the switch, so it goes with the switch.
package network

import (
	"fmt"
	"net/netip"
)

// MaxLabs is how many labs can run on one machine at a time.
const MaxLabs = 32

// firstOctet is the second octet of the first lab's network. The networks are 10.192.0.0/16 to 10.223.0.0/16: a corner of
// the private range that few networks use.
const firstOctet = 192

// Plan is the addresses of one lab.
type Plan struct {
	// Lab is the number of the lab on this machine, from 0 to MaxLabs-1.
	Lab int
}

// Network is the lab's whole network.
func (p Plan) Network() netip.Prefix { return netip.PrefixFrom(p.address(0, 0), 16) }

// Machine is the address of the machine itself, under which nodes, pods and guests reach what tests serve.
func (p Plan) Machine() netip.Addr { return p.address(0, 1) }

// Node is the address of a node. Nodes count from 1 to 99.
func (p Plan) Node(index int) netip.Addr { return p.address(0, byte(100+index)) }

// Pods is the network of a node's pods.
func (p Plan) Pods(index int) netip.Prefix { return netip.PrefixFrom(p.address(byte(index), 0), 24) }

// Interface is the name of the lab's one interface in the machine's own network namespace.
func (p Plan) Interface() string { return fmt.Sprintf("vslab%d", p.Lab) }

func (p Plan) address(third, fourth byte) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(firstOctet + p.Lab), third, fourth})
}
