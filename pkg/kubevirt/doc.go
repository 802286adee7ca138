// Package kubevirt talks to KubeVirt and CDI. It is the only package that imports kubevirt.io/client-go, so that the rest
// of the tree depends on small interfaces and on the API types alone.
//
// All calls go to kube-apiserver with the identity of the given configuration. Nothing here calls the services of
// KubeVirt or CDI directly: they trust only the aggregator.
package kubevirt
