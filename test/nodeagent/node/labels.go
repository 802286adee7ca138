package node

import kubevirtv1 "kubevirt.io/api/core/v1"

// handlerLabels are the labels that virt-handler and its node labeller keep on
// a node. virt-controller turns a machine's needs into selectors on them.
func handlerLabels() map[string]string {
	labels := map[string]string{
		kubevirtv1.NodeSchedulable:                      "true",
		kubevirtv1.CPUManager:                           "false",
		kubevirtv1.KSMEnabledLabel:                      "false",
		kubevirtv1.CPUModelVendorLabel + "Intel":        "true",
		kubevirtv1.HostModelCPULabel + "Icelake-Server": "true",
	}
	for _, machine := range []string{"q35", "pc-q35-rhel9.6.0", "pc-q35-rhel9.4.0", "pc-q35-9.2", "pc", "pc-i440fx-rhel7.6.0"} {
		labels[kubevirtv1.SupportedMachineTypeLabel+machine] = "true"
	}
	for _, model := range []string{
		"Conroe", "Penryn", "Nehalem", "Westmere", "SandyBridge", "IvyBridge", "Haswell", "Haswell-noTSX",
		"Broadwell", "Broadwell-noTSX", "Skylake-Client", "Skylake-Server", "Cascadelake-Server", "Icelake-Server",
		"SapphireRapids", "EPYC", "EPYC-Rome", "EPYC-Milan", "EPYC-Genoa", "qemu64", "kvm64",
	} {
		labels[kubevirtv1.CPUModelLabel+model] = "true"
		labels[kubevirtv1.SupportedHostModelMigrationCPU+model] = "true"
	}
	for _, feature := range []string{"vmx", "aes", "avx", "avx2", "apic", "clflush", "x2apic", "invtsc", "pcid", "sse4.2"} {
		labels[kubevirtv1.CPUFeatureLabel+feature] = "true"
	}
	for _, feature := range []string{"base", "vpindex", "runtime", "synic", "synictimer", "frequencies", "reset", "time", "ipi", "tlbflush", "reenlightenment"} {
		labels[kubevirtv1.HypervLabel+feature] = "true"
	}
	return labels
}
