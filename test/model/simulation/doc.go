// Package simulation runs the product's own registry and controller in one process and one goroutine's order, thousands
// of times faster than a control plane.
//
// Real are the registry with its strategies, validation and operations, and the controller with its informers, queue and
// retries. Stand-ins are etcd (Store), kube-apiserver, and KubeVirt's virt-api, virt-controller and node (KubeVirt), whose
// behaviour is taken from the sources that each function names; the same sequences run against the real ones in
// test/model/live.
//
// Everything happens in a bubble of testing/synctest. Each call of the controller waits at a gate, each change waits to be
// seen by its informers, and virt-controller looks at one time and acts at another. A World picks by its seed what happens
// next, so that every interleaving can come and comes again with the same seed. It also kills the product: before a
// call, or after the call was carried out and before the product learns of it.
package simulation
