// Package csi is a storage driver for real nodes by the Container Storage Interface: volumes and snapshots are folders of
// this machine, and a snapshot is a copy. Every node of a lab sees the same folders, so that ReadWriteMany is true.
//
// A copy is not made at one instant, as a snapshot of a storage system is: who tests what is in one writes before it is taken.
package csi

// DriverName is the name of the driver in CSIDriver, StorageClass and VolumeSnapshotClass.
const DriverName = "csi.realnode.tensorstack.dev"

// vendorVersion is the version that the driver reports. Nothing depends on it.
const vendorVersion = "v1"
