// Package realnode holds what a real Kubernetes node on this machine is made of, for a control plane whose servers run
// as plain processes beside it.
//
// A node is one process that owns a PID, mount, network and UTS namespace. containerd, kubelet and kube-proxy run inside,
// on a root filesystem put together from bind mounts. Killing that one process is a power loss: the kernel takes every
// process, mount and interface of the node with it. Only empty cgroups remain; package cgroup removes them.
//
//	network     the addresses of a lab, and the links between the machine and its nodes
//	rootfs      what a node sees as its file system
//	cgroup      the part of the machine's cgroup tree that a node may use
//	node        a node from its first process to its kubelet
//	imagestore  the images of a node, imported once and shared by all nodes and starts
//	volumes     PersistentVolumes that are folders of this machine
package realnode
