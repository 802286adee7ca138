// Package kubevirtprefix serves KubeVirt's own paths below a prefix of our group, for the names of VirtualServers:
//
//	kubectl virt --server https://HOST/apis/tensorstack.dev/v1beta1/kubevirt console my-virtualserver
//
// virtctl keeps the path of its server URL in front of everything that it asks for. So an unmodified virtctl talks to this
// package, which finds the machine behind the name, checks the user's right to the matching subresource of virtualservers,
// and does what that subresource does.
//
// kube-apiserver sees such a request as one for the resource "kubevirt" named "apis" or "api", with the API group (or "v1")
// as its subresource, and lets it through by the ClusterRole virtualserver:kubevirt-prefix, which everybody has. That right
// opens nothing by itself: RequestInfoResolver tells our own authorization filter what the request really is, and
// the handler checks the user again for the VirtualServer that the name stands for.
package kubevirtprefix
