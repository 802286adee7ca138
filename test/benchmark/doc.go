// Command benchmark measures VirtualServers against their peers on one control plane in one run: the same schema as a
// CustomResourceDefinition on the same kube-apiserver, and an etcd that is given the same bytes. Run it with "make bench";
// README.md says how to read its table.
package main
