// +k8s:deepcopy-gen=package
// +groupName=tensorstack.dev

// Package tensorstack holds the internal types, which the server works with. Users see package v1beta1.
package tensorstack
