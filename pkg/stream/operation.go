package stream

import "net/http"

// Operation is a request that is passed on to KubeVirt as it is.
type Operation struct {
	// Name is the subresource of virtualservers, and so the name of the right in RBAC. It may have two parts.
	Name string
	// Resource is the resource of KubeVirt that has the subresource.
	Resource Resource
	// Path is the subresource of KubeVirt.
	Path []string
	// Reads is true for what only reads: it is a GET and needs the verb get. Everything else is a PUT.
	Reads bool
	// AnyResource is true if KubeVirt serves the subresource below both resources.
	AnyResource bool
	// DryRun is true if KubeVirt looks at dryRun in the options. It does not refuse a field that it does not know.
	DryRun bool
}

// Method is the HTTP method that KubeVirt expects.
func (o Operation) Method() string {
	if o.Reads {
		return http.MethodGet
	}
	return http.MethodPut
}

// The operations, with the resource that KubeVirt has them on. Source: kubevirt pkg/virt-api/api.go.
const (
	Pause            = "pause"
	Unpause          = "unpause"
	SoftReboot       = "softreboot"
	Reset            = "reset"
	GuestOSInfo      = "guestosinfo"
	UserList         = "userlist"
	FilesystemList   = "filesystemlist"
	Screenshot       = "vnc/screenshot"
	AddVolume        = "addvolume"
	RemoveVolume     = "removevolume"
	Migrate          = "migrate"
	MemoryDump       = "memorydump"
	RemoveMemoryDump = "removememorydump"
)

// Operations lists what is passed on.
func Operations() []Operation {
	return []Operation{
		{Name: Pause, Resource: VirtualMachineInstances, Path: []string{"pause"}, DryRun: true},
		{Name: Unpause, Resource: VirtualMachineInstances, Path: []string{"unpause"}, DryRun: true},
		{Name: SoftReboot, Resource: VirtualMachineInstances, Path: []string{"softreboot"}},
		{Name: Reset, Resource: VirtualMachineInstances, Path: []string{"reset"}},
		{Name: GuestOSInfo, Resource: VirtualMachineInstances, Path: []string{"guestosinfo"}, Reads: true},
		{Name: UserList, Resource: VirtualMachineInstances, Path: []string{"userlist"}, Reads: true},
		{Name: FilesystemList, Resource: VirtualMachineInstances, Path: []string{"filesystemlist"}, Reads: true},
		{Name: Screenshot, Resource: VirtualMachineInstances, Path: []string{"vnc", "screenshot"}, Reads: true},
		{Name: AddVolume, Resource: VirtualMachines, Path: []string{"addvolume"}, AnyResource: true, DryRun: true},
		{Name: RemoveVolume, Resource: VirtualMachines, Path: []string{"removevolume"}, AnyResource: true, DryRun: true},
		{Name: Migrate, Resource: VirtualMachines, Path: []string{"migrate"}, DryRun: true},
		{Name: MemoryDump, Resource: VirtualMachines, Path: []string{"memorydump"}},
		{Name: RemoveMemoryDump, Resource: VirtualMachines, Path: []string{"removememorydump"}},
	}
}

// OperationNamed finds an operation by the subresource of virtualservers.
func OperationNamed(name string) (Operation, bool) {
	for _, operation := range Operations() {
		if operation.Name == name {
			return operation, true
		}
	}
	return Operation{}, false
}
