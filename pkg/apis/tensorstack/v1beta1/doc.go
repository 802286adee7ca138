// +k8s:openapi-gen=true
// +k8s:openapi-model-package=dev.tensorstack.v1beta1
// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=tensorstack.dev/virtualserver/pkg/apis/tensorstack
// +k8s:defaulter-gen=TypeMeta
// +groupName=tensorstack.dev

// Package v1beta1 is the API that users of VirtualServer see.
package v1beta1
