package translate

import (
	"encoding/json"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// record is what a template was made with, as far as the template itself does not tell it. It stands in AnnotationApplied.
// On the VirtualMachine it tells which entries are ours, so that those removed from the spec can go and those of others
// stay. On a VirtualMachineInstance it tells what the machine was started with.
type record struct {
	// Volumes are the names of our volumes, each with its disk or filesystem.
	Volumes []string `json:"volumes,omitempty"`
	// GPUs are the names of our GPUs.
	GPUs []string `json:"gpus,omitempty"`
	// CPUModel is the model asked for. KubeVirt fills in a default on the instance, others may on the VirtualMachine.
	CPUModel string `json:"cpuModel,omitempty"`
	// MACAddress is the address asked for. Others, such as a pool of addresses, may fill one in.
	MACAddress string `json:"macAddress,omitempty"`
	// CloudInit stands for the user data, whose text is in a Secret.
	CloudInit string `json:"cloudInit,omitempty"`
	// Copied are the claims of which each run gets a copy, by the name of the filesystem.
	Copied map[string]string `json:"copied,omitempty"`
	// NodeSelector are the labels asked for. Others may ask for more.
	NodeSelector []string `json:"nodeSelector,omitempty"`
	// SMM says that System Management Mode was asked for.
	SMM bool `json:"smm,omitempty"`
	// Fields are what the user said in the fields of recordedFields.
	Fields map[string]string `json:"fields,omitempty"`
	// SSHKeys is the Secret of public keys.
	SSHKeys string `json:"sshKeys,omitempty"`
}

func recordOf(vs *v1beta1.VirtualServer, template *kubevirtv1.VirtualMachineInstanceTemplateSpec) record {
	r := record{
		CPUModel:   vs.Spec.Resources.CPU.Model,
		MACAddress: vs.Spec.Network.MACAddress,
		CloudInit:  cloudInitDigest(vs),
		Copied:     EphemeralFilesystems(vs),
		SMM:        bootsSecurely(vs.Spec.Firmware),
		Fields:     recordedFields(vs, template),
	}
	r.NodeSelector = slices.Sorted(maps.Keys(template.Spec.NodeSelector))
	if keys := vs.Spec.SSHKeys; keys != nil {
		r.SSHKeys = keys.SecretRef.Name
	}
	for _, volume := range template.Spec.Volumes {
		r.Volumes = append(r.Volumes, volume.Name)
	}
	for _, gpu := range template.Spec.Domain.Devices.GPUs {
		r.GPUs = append(r.GPUs, gpu.Name)
	}
	return r
}

// String returns the record as it stands in the annotation.
func (r record) String() string {
	// Text and lists of text always marshal.
	text, _ := json.Marshal(r)
	return string(text)
}

// readRecord returns the record in the annotations. A record that is missing or damaged is empty: then nothing counts as
// ours but what is wanted now.
func readRecord(annotations map[string]string) record {
	var r record
	if err := json.Unmarshal([]byte(annotations[AnnotationApplied]), &r); err != nil {
		return record{}
	}
	return r
}

// known says whether there was a record: every machine of ours has a root volume.
func (r record) known() bool { return len(r.Volumes) > 0 }

func (r record) ownVolumes() sets.Set[string] { return sets.New(r.Volumes...) }

func (r record) ownGPUs() sets.Set[string] { return sets.New(r.GPUs...) }
