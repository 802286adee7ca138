// Package translate turns a VirtualServer into the objects behind it: a KubeVirt VirtualMachine, a CDI DataVolume, a
// cloud-init Secret and a Service. It also merges what is wanted into objects that exist already, touching no field that
// is not ours.
//
// The package is pure: it reads no cluster and no clock. It uses only fields that KubeVirt v1.7.0 knows.
package translate
