package images

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// nodeRoot is the Debian root under launcher and importer. One root for both is made faster than two, and containerd
// unpacks it once.
func nodeRoot() debianRoot {
	script, _ := content.ReadFile("content/root/customize.sh")
	daemon, _ := content.ReadFile("content/root/virtqemud")
	files := tree{}
	files.data("usr/sbin/virtqemud", 0o755, daemon)
	return debianRoot{name: "node", variant: "minbase", customize: script, files: files, packages: []string{
		"qemu-system-x86", "libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-daemon-log", "libvirt-clients", "virtiofsd", "swtpm", "swtpm-tools", "xorriso",
		"nftables", "iproute2", "ovmf", "libcap2-bin", "qemu-utils", "nbdkit", "ca-certificates", "tar", "kmod",
	}}
}

// plan is an image before its content is there.
type plan struct {
	name, reference string
	// debian says that the image stands on the Debian root.
	debian bool
	config v1.Config
	// programs go from Workspace.Programs to /usr/bin, or to the place that is named.
	programs map[string]string
	// optional programs go to /usr/bin if they are there.
	optional []string
	// sources go from the source of a Go module to the place that is named: "module directory/file" by place.
	sources map[string]moduleFile
	// finish adds what else belongs in.
	finish func(w *Workspace, made tree, scratch string) error
	// inputs are further parts of the fingerprint.
	inputs func(w *Workspace) ([]string, error)
}

// moduleFile is a file in the source of a module, which the nested module at build requires.
type moduleFile struct {
	build, module, file string
	mode                int64
}

func debianPath() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
}

func plans() []plan {
	return append(append(kubevirtPlans(), cdiPlans()...), smallPlans()...)
}

func kubevirtPlans() []plan {
	from := func(file string, mode int64) moduleFile {
		return moduleFile{build: "test/controlplane/kubevirt", module: "kubevirt.io/kubevirt", file: "cmd/virt-launcher/" + file, mode: mode}
	}
	return []plan{{
		name: "virt-launcher", reference: "docker.io/local/virt-launcher:v1.7.0", debian: true,
		config: v1.Config{Entrypoint: []string{"/usr/bin/virt-launcher"}, Env: debianPath()},
		programs: inUsrBin("virt-launcher", "virt-launcher-monitor", "virt-freezer", "virt-probe", "virt-tail", "virt-handler", "virt-chroot",
			"container-disk"),
		sources: map[string]moduleFile{
			"etc/libvirt/qemu.conf":      from("qemu.conf", 0o644),
			"etc/libvirt/virtqemud.conf": from("virtqemud.conf", 0o644),
			"etc/libvirt/hooks/qemu":     from("qemu", 0o755),
			"usr/bin/node-labeller.sh":   from("node-labeller/node-labeller.sh", 0o755),
		},
		finish: func(_ *Workspace, made tree, _ string) error {
			// Without root it hands this capability on to QEMU's helpers; libvirt does not start otherwise.
			made["usr/bin/virt-launcher-monitor"].attributes = bindServiceCapability()
			// The Debian root has lost its logs, and the folders of programs that will not start without theirs.
			made.dir("var/log/libvirt/qemu", 0o755)
			made.dir("var/log/swtpm/libvirt/qemu", 0o777)
			// KubeVirt knows the firmware by the names that other distributions give it.
			for link, target := range map[string]string{"CODE.fd": "CODE_4M.fd", "VARS.fd": "VARS_4M.fd",
				"CODE.secboot.fd": "CODE_4M.ms.fd", "VARS.secboot.fd": "VARS_4M.ms.fd"} {
				made.symlink("usr/share/OVMF/OVMF_"+link, "OVMF_"+target)
			}
			return nil
		},
	}}
}

func cdiPlans() []plan {
	importer := func(name string, entrypoint ...string) plan {
		return plan{name: name, reference: "docker.io/library/" + name + ":v1.65.0", debian: true,
			config:   v1.Config{Entrypoint: entrypoint, Env: debianPath(), User: "1001"},
			programs: inUsrBin("cdi-importer", "cdi-cloner", "cdi-uploadserver", "cdi-uploadproxy"),
			optional: []string{"cdi-containerimage-server", "cdi-image-size-detection", "cdi-source-update-poller"},
			sources: map[string]moduleFile{"usr/bin/cloner_startup.sh": {
				build: "test/controlplane/cdi", module: "kubevirt.io/containerized-data-importer", file: "cmd/cdi-cloner/cloner_startup.sh", mode: 0o755,
			}},
		}
	}
	return []plan{
		importer("cdi-importer", "/usr/bin/cdi-importer", "-alsologtostderr"),
		importer("cdi-cloner", "/usr/bin/cloner_startup.sh"),
		importer("cdi-uploadserver", "/usr/bin/cdi-uploadserver", "-alsologtostderr"),
		importer("cdi-uploadproxy", "/usr/bin/cdi-uploadproxy", "-alsologtostderr"),
	}
}

func smallPlans() []plan {
	return []plan{
		{name: "coredns", reference: "docker.io/local/coredns:lab", config: v1.Config{Entrypoint: []string{"/coredns"}},
			programs: map[string]string{"coredns": "coredns"}},
		{name: "pause", reference: "docker.io/local/pause:lab", config: v1.Config{Entrypoint: []string{"/pause"}},
			programs: map[string]string{"pause": "pause"}},
		{name: "tools", reference: "docker.io/local/tools:lab", config: v1.Config{Cmd: []string{"/bin/sh"}, Env: debianPath()},
			finish: toolsContent, inputs: packagesInput},
		{name: "guest", reference: "docker.io/local/guest:lab", finish: guestContent, inputs: guestInput},
	}
}

func inUsrBin(names ...string) map[string]string {
	places := map[string]string{}
	for _, name := range names {
		places[name] = "usr/bin/" + name
	}
	return places
}

// toolsContent is BusyBox with what programs expect of a root.
func toolsContent(w *Workspace, made tree, scratch string) error {
	archive, err := openArchive(w.path("roots", smallPackages().name+".tar"))
	if err != nil {
		return err
	}
	// The content is read when the layer is written, before the process ends.
	for _, dir := range []string{"etc", "root", "proc", "sys", "dev", "run", "var/log"} {
		made.dir(dir, 0o755)
	}
	made.dir("tmp", 0o1777)
	for _, name := range []string{"passwd", "group"} {
		data, err := content.ReadFile("content/small/" + name)
		if err != nil {
			return err
		}
		made.data("etc/"+name, 0o644, data)
	}
	return made.addBusyBox(archive, scratch, "bin")
}

func packagesInput(w *Workspace) ([]string, error) {
	facts, err := w.makeRoot(smallPackages())
	return []string{facts["digest"]}, err
}

// guestContent is the small guest as a container disk; KubeVirt takes the only file in /disk, and reads it as user 107.
func guestContent(w *Workspace, made tree, _ string) error {
	added, err := made.file("disk/small.qcow2", 0o440, w.path("guests", "small.qcow2"))
	if err != nil {
		return err
	}
	added.uid, added.gid = qemuUser, qemuUser
	folder := made.dir("disk", 0o755)
	folder.uid, folder.gid = qemuUser, qemuUser
	return nil
}

// qemuUser is the user and group as which KubeVirt runs guests.
const qemuUser = 107

func guestInput(w *Workspace) ([]string, error) {
	if err := w.makeSmallGuest(); err != nil {
		return nil, err
	}
	digest, err := loadDigests(w.path("stamps", "digests.json")).of(w.path("guests", "small.qcow2"))
	return []string{digest}, err
}

// makeImages makes every image; those whose programs are not there yet are an error at the end, after the others.
func (w *Workspace) makeImages() error {
	known := loadDigests(w.path("stamps", "digests.json"))
	root, err := w.makeRoot(nodeRoot())
	if err != nil {
		return err
	}
	var problems []string
	for _, planned := range plans() {
		if missing := planned.missingPrograms(w.Programs); len(missing) > 0 {
			problems = append(problems, fmt.Sprintf("%s needs %s in %s", planned.name, strings.Join(missing, ", "), w.Programs))
			continue
		}
		if err := w.makeImage(planned, root["digest"], known); err != nil {
			return err
		}
	}
	if err := known.save(); err != nil {
		return err
	}
	if len(problems) > 0 {
		return fmt.Errorf("some images are not made: %s", strings.Join(problems, "; "))
	}
	return w.makeBundle()
}

// makeBundle makes images/all.tar: importing images one by one reads the root under them again and again.
func (w *Workspace) makeBundle() error {
	parts, dirs := []string{"bundle 1"}, []string(nil)
	for _, planned := range plans() {
		dir := w.path("images", planned.name)
		index, err := os.ReadFile(filepath.Join(dir, "index.json"))
		if err != nil {
			return err
		}
		parts, dirs = append(parts, string(index)), append(dirs, dir)
	}
	_, err := w.ensure("images-all", fingerprint(parts...), func(scratch string) (result, error) {
		archive := filepath.Join(scratch, "all.tar")
		return result{files: map[string]string{filepath.Join("images", "all.tar"): archive}}, writeArchive(archive, dirs...)
	})
	return err
}

func (p plan) missingPrograms(dir string) []string {
	var missing []string
	for name := range p.programs {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			missing = append(missing, name)
		}
	}
	sort.Strings(missing)
	return missing
}

// makeImage makes the image unless it is up to date.
func (w *Workspace) makeImage(planned plan, rootDigest string, known *digests) error {
	made, parts, err := w.planContent(planned, known)
	if err != nil {
		return err
	}
	if planned.debian {
		parts = append(parts, rootDigest)
	}
	name := "image-" + planned.name
	_, err = w.ensure(name, fingerprint(parts...), func(scratch string) (result, error) {
		if planned.finish != nil {
			if err := planned.finish(w, made, scratch); err != nil {
				return result{}, err
			}
		}
		described := image{name: planned.name, reference: planned.reference, content: made, config: planned.config}
		if planned.debian {
			if described.base, err = newFileLayer(w.path("roots", nodeRoot().name+".tar"), rootDigest); err != nil {
				return result{}, err
			}
		}
		dir := filepath.Join(scratch, planned.name)
		if err := writeImage(described, dir); err != nil {
			return result{}, err
		}
		return result{files: map[string]string{
			filepath.Join("images", planned.name): dir, filepath.Join("images", planned.name+".tar"): dir + ".tar",
		}}, nil
	})
	return err
}

// planContent collects the files of the image that are there before it is made, and the parts of its fingerprint.
func (w *Workspace) planContent(planned plan, known *digests) (tree, []string, error) {
	made := tree{}
	parts := []string{"image 3", planned.reference, fmt.Sprint(planned.config.Entrypoint, planned.config.Cmd, planned.config.Env, planned.config.User)}
	add := func(place, source string, mode int64) error {
		if _, err := made.file(place, mode, source); err != nil {
			return err
		}
		digest, err := known.of(source)
		parts = append(parts, place, fmt.Sprint(mode), digest)
		return err
	}
	for _, name := range sortedKeys(planned.programs) {
		if err := add(planned.programs[name], filepath.Join(w.Programs, name), 0o755); err != nil {
			return nil, nil, err
		}
	}
	for _, name := range planned.optional {
		source := filepath.Join(w.Programs, name)
		if _, err := os.Stat(source); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := add("usr/bin/"+name, source, 0o755); err != nil {
			return nil, nil, err
		}
	}
	for _, place := range sortedKeys(planned.sources) {
		from := planned.sources[place]
		dir, err := w.moduleSource(from)
		if err != nil {
			return nil, nil, err
		}
		if err := add(place, filepath.Join(dir, from.file), from.mode); err != nil {
			return nil, nil, err
		}
	}
	if planned.inputs != nil {
		more, err := planned.inputs(w)
		if err != nil {
			return nil, nil, err
		}
		parts = append(parts, more...)
	}
	return made, parts, nil
}

func sortedKeys[V any](values map[string]V) []string {
	var keys []string
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
