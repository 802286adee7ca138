package network

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// bridgeName is the bridge inside the switch's own network namespace.
const bridgeName = "switch"

// nodeInterface is what a node calls its link to the switch.
const nodeInterface = "eth0"

// BuildSwitch makes the bridge in the network namespace of process pid and links this machine to it. nodes is how many
// nodes may join: the machine gets a route to the pods of each.
func BuildSwitch(plan Plan, pid, nodes int) error {
	inside, err := netns.GetFromPid(pid)
	if err != nil {
		return fmt.Errorf("network of the switch: %w", err)
	}
	defer func() { _ = inside.Close() }()
	within, err := netlink.NewHandleAt(inside)
	if err != nil {
		return fmt.Errorf("network of the switch: %w", err)
	}
	defer within.Close()
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}}
	if err := within.LinkAdd(bridge); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	if err := within.LinkSetUp(bridge); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	machine, err := netlink.NewHandle()
	if err != nil {
		return err
	}
	defer machine.Close()
	// One that a killed launcher left dies with its switch, but perhaps only in a moment.
	if stale, err := machine.LinkByName(plan.Interface()); err == nil {
		if err := machine.LinkDel(stale); err != nil {
			return fmt.Errorf("interface %s of an earlier lab: %w", plan.Interface(), err)
		}
	}
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: plan.Interface()},
		PeerName:  "machine", PeerNamespace: netlink.NsFd(int(inside)),
	}
	if err := machine.LinkAdd(pair); err != nil {
		return fmt.Errorf("link to the switch: %w", err)
	}
	if err := enslave(within, "machine"); err != nil {
		return err
	}
	if err := address(machine, plan.Interface(), plan.Machine(), plan.Network().Bits()); err != nil {
		return err
	}
	for index := 1; index <= nodes; index++ {
		if err := route(machine, plan.Interface(), plan.Pods(index), plan.Node(index)); err != nil {
			return err
		}
	}
	return nil
}

// Join links the network namespace of process pid, which is node number index, to the switch, which is process
// switchPID, and gives it its address and routes. services is the network of the cluster's Services: kube-proxy answers
// for it, but the kernel wants a route before it asks.
func Join(plan Plan, index, pid, switchPID, nodes int, services netip.Prefix) error {
	middle, err := netns.GetFromPid(switchPID)
	if err != nil {
		return fmt.Errorf("network of the switch: %w", err)
	}
	defer func() { _ = middle.Close() }()
	inside, err := netns.GetFromPid(pid)
	if err != nil {
		return fmt.Errorf("network of node %d: %w", index, err)
	}
	defer func() { _ = inside.Close() }()
	within, err := netlink.NewHandleAt(inside)
	if err != nil {
		return err
	}
	defer within.Close()
	between, err := netlink.NewHandleAt(middle)
	if err != nil {
		return err
	}
	defer between.Close()

	port := fmt.Sprintf("node%d", index)
	if stale, err := between.LinkByName(port); err == nil {
		if err := between.LinkDel(stale); err != nil {
			return fmt.Errorf("port of node %d: %w", index, err)
		}
	}
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: nodeInterface},
		PeerName:  port, PeerNamespace: netlink.NsFd(int(middle)),
	}
	if err := within.LinkAdd(pair); err != nil {
		return fmt.Errorf("link of node %d: %w", index, err)
	}
	if err := enslave(between, port); err != nil {
		return err
	}
	loopback, err := within.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := within.LinkSetUp(loopback); err != nil {
		return err
	}
	if err := address(within, nodeInterface, plan.Node(index), plan.Network().Bits()); err != nil {
		return err
	}
	for other := 1; other <= nodes; other++ {
		if other == index {
			continue
		}
		if err := route(within, nodeInterface, plan.Pods(other), plan.Node(other)); err != nil {
			return err
		}
	}
	return route(within, nodeInterface, services, plan.Machine())
}

// enslave makes a link a port of the bridge.
func enslave(within *netlink.Handle, name string) error {
	bridge, err := within.LinkByName(bridgeName)
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	link, err := within.LinkByName(name)
	if err != nil {
		return fmt.Errorf("port %s: %w", name, err)
	}
	if err := within.LinkSetMaster(link, bridge); err != nil {
		return fmt.Errorf("port %s: %w", name, err)
	}
	if err := within.LinkSetUp(link); err != nil {
		return fmt.Errorf("port %s: %w", name, err)
	}
	return nil
}

func address(within *netlink.Handle, name string, ip netip.Addr, bits int) error {
	link, err := within.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	if err := within.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(ip, bits))}); err != nil {
		return fmt.Errorf("address %s of %s: %w", ip, name, err)
	}
	if err := within.LinkSetUp(link); err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	return nil
}

func route(within *netlink.Handle, name string, to netip.Prefix, via netip.Addr) error {
	link, err := within.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	if err := within.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(to), Gw: via.AsSlice()}); err != nil {
		return fmt.Errorf("route to %s: %w", to, err)
	}
	return nil
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), 32)}
}
