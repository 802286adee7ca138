package rootfs

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// device is a character device that every container may use (Linux's Documentation/admin-guide/devices.txt).
type device struct {
	name         string
	major, minor uint32
	mode         uint32
}

var devices = []device{
	{"null", 1, 3, 0o666}, {"zero", 1, 5, 0o666}, {"full", 1, 7, 0o666}, {"random", 1, 8, 0o666},
	{"urandom", 1, 9, 0o666}, {"kmsg", 1, 11, 0o600}, {"tty", 5, 0, 0o666}, {"net/tun", 10, 200, 0o666},
}

// devices makes a /dev of the node's own: KubeVirt changes owner and mode of what it finds there.
func (b *builder) devices(passOn []string) {
	b.mount("tmpfs", "/dev", "tmpfs", unix.MS_NOSUID, "mode=755")
	for _, folder := range []string{"/dev/net", "/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/hugepages"} {
		b.folder(folder, 0o755)
	}
	for _, device := range devices {
		b.node(filepath.Join("/dev", device.name), unix.Mkdev(device.major, device.minor), device.mode)
	}
	for _, path := range passOn {
		b.do("device "+path, func() error {
			var found unix.Stat_t
			if err := unix.Stat(path, &found); err != nil {
				return err
			}
			b.node(path, found.Rdev, 0o666)
			return nil
		})
	}
	b.mount("devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
	b.mount("tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
	for link, target := range map[string]string{
		"/dev/ptmx": "pts/ptmx", "/dev/fd": "/proc/self/fd",
		"/dev/stdin": "fd/0", "/dev/stdout": "fd/1", "/dev/stderr": "fd/2",
	} {
		b.do("link "+link, func() error { return os.Symlink(target, b.inside(link)) })
	}
}

func (b *builder) node(path string, number uint64, mode uint32) {
	b.do("device "+path, func() error {
		if err := unix.Mknod(b.inside(path), unix.S_IFCHR|mode, int(number)); err != nil {
			return err
		}
		return os.Chmod(b.inside(path), os.FileMode(mode))
	})
}

// sysctls are settings of the whole machine that a kubelet changes at its start unless they have these values already
// (setupKernelTunables in k8s.io/kubernetes pkg/kubelet/cm/container_manager_linux.go).
var sysctls = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
	"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}

// quietSysctls lays files over those settings, so that the kubelet finds what it wants and the machine keeps its own.
func (b *builder) quietSysctls() {
	for name, value := range sysctls {
		path := filepath.Join("/proc/sys", name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		cover := filepath.Join("/run/sysctl", filepath.Base(name))
		b.write(cover, value+"\n")
		b.do("cover "+path, func() error { return unix.Mount(b.inside(cover), b.inside(path), "", unix.MS_BIND, "") })
	}
}
