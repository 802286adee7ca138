package scheme

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// withoutProtobuf offers JSON and YAML only. The types of this group have no protobuf form: a client that lists protobuf
// first would get an error where it could have had JSON
// (https://github.com/kubernetes/kubernetes/issues/86666).
type withoutProtobuf struct {
	runtime.NegotiatedSerializer
}

// Negotiated returns the serializer with which the types of this group are served.
func Negotiated() runtime.NegotiatedSerializer {
	return withoutProtobuf{Codecs}
}

// SupportedMediaTypes are JSON and YAML.
func (s withoutProtobuf) SupportedMediaTypes() []runtime.SerializerInfo {
	return slices.DeleteFunc(slices.Clone(s.NegotiatedSerializer.SupportedMediaTypes()),
		func(info runtime.SerializerInfo) bool { return info.MediaType == runtime.ContentTypeProtobuf })
}
