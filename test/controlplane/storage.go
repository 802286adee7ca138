package controlplane

import _ "embed"

// DiskProvisioner names the node agent in StorageClasses: it makes a PersistentVolume
// for each pending claim of such a class.
const DiskProvisioner = "node-agent.tensorstack.dev/disk"

// folderProvisioner is the provisioner of real volumes, as test/realnode/volumes calls itself.
const folderProvisioner = "realnode.tensorstack.dev/folder"

//go:embed config/storage.yaml
var storageManifest []byte

//go:embed config/storageprofiles.yaml
var storageProfiles []byte

//go:embed config/volumesnapshots.yaml
var volumeSnapshots []byte
