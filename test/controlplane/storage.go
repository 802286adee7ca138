package controlplane

import _ "embed"

// DiskProvisioner names the node agent in StorageClasses: it makes a PersistentVolume
// for each pending claim of such a class.
const DiskProvisioner = "node-agent.tensorstack.dev/disk"

//go:embed config/storage.yaml
var storageManifest []byte

//go:embed config/storageprofiles.yaml
var storageProfiles []byte

//go:embed config/volumesnapshots.yaml
var volumeSnapshots []byte
