package handler

import (
	"encoding/json"
	"net/http"

	"k8s.io/klog/v2"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/guest"
)

// order answers a request that changes the guest; like virt-handler it answers
// before the machine's status shows the change.
func order(act func(guest.Guest) error) machineHandler {
	return func(w http.ResponseWriter, _ *http.Request, _ *kubevirtv1.VirtualMachineInstance, g guest.Guest) {
		if err := act(g); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}
}

func screenshot(w http.ResponseWriter, _ *http.Request, _ *kubevirtv1.VirtualMachineInstance, g guest.Guest) {
	picture, err := g.Screenshot()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	_, _ = w.Write(picture)
}

func (h *Handler) guestInfo(w http.ResponseWriter, r *http.Request, _ *kubevirtv1.VirtualMachineInstance, g guest.Guest) {
	system, machine := g.System(), g.Machine()
	info := kubevirtv1.VirtualMachineInstanceGuestAgentInfo{
		GAVersion: system.AgentVersion, Hostname: machine.Hostname, OS: osInfo(system), Timezone: system.Timezone,
		UserList: userItems(g), FSInfo: kubevirtv1.VirtualMachineInstanceFileSystemInfo{Filesystems: filesystemItems(g)},
	}
	if g.Status().Frozen {
		info.FSFreezeStatus = "frozen"
	}
	for _, command := range system.Commands {
		info.SupportedCommands = append(info.SupportedCommands, kubevirtv1.GuestAgentCommandInfo{Name: command, Enabled: true})
	}
	writeJSON(w, r, info)
}

func users(w http.ResponseWriter, r *http.Request, _ *kubevirtv1.VirtualMachineInstance, g guest.Guest) {
	writeJSON(w, r, kubevirtv1.VirtualMachineInstanceGuestOSUserList{Items: userItems(g)})
}

func userItems(g guest.Guest) []kubevirtv1.VirtualMachineInstanceGuestOSUser {
	return []kubevirtv1.VirtualMachineInstanceGuestOSUser{
		{UserName: "root", LoginTime: float64(g.System().Booted.Unix())},
	}
}

func filesystems(w http.ResponseWriter, r *http.Request, _ *kubevirtv1.VirtualMachineInstance, g guest.Guest) {
	writeJSON(w, r, kubevirtv1.VirtualMachineInstanceFileSystemList{Items: filesystemItems(g)})
}

// filesystemItems shows the first disk as the root filesystem, half full.
func filesystemItems(g guest.Guest) []kubevirtv1.VirtualMachineInstanceFileSystem {
	machine := g.Machine()
	if len(machine.Disks) == 0 {
		return nil
	}
	root := machine.Disks[0]
	return []kubevirtv1.VirtualMachineInstanceFileSystem{{
		DiskName: root.Target + "1", MountPoint: "/", FileSystemType: "ext4",
		UsedBytes: int(root.Bytes / 2), TotalBytes: int(root.Bytes),
		Disk: []kubevirtv1.VirtualMachineInstanceFileSystemDisk{{Serial: root.Serial, BusType: "virtio"}},
	}}
}

func writeJSON(w http.ResponseWriter, r *http.Request, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		klog.FromContext(r.Context()).V(2).Info("An answer was not taken", "path", r.URL.Path, "reason", err)
	}
}
