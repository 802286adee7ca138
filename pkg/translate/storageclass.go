package translate

// IsDefaultClass says whether the annotations of a StorageClass make it the default of the cluster or, for CDI, of machines
// (AnnDefaultVirtStorageClass in CDI's pkg/controller/common/util.go).
func IsDefaultClass(annotations map[string]string) bool {
	return annotations["storageclass.kubernetes.io/is-default-class"] == "true" ||
		annotations["storageclass.beta.kubernetes.io/is-default-class"] == "true" ||
		annotations["storageclass.kubevirt.io/is-default-virt-class"] == "true"
}
