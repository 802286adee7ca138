package scratch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
)

// lastInstance bounds how many runs the model has. A third changes nothing for the two, and takes a minute.
const lastInstance = 2

const modelMachine, modelFilesystem = "managed-virtualserver-abcde", "data"

// model is a cluster with one machine that has one ephemeral claim as a filesystem, and the product, which acts on what it has
// looked at some time ago. Everybody in it takes one step at a time, in every order.
type model struct {
	template  string
	version   int
	made      int
	instance  *modelInstance
	copies    map[string]modelCopy
	snapshots map[string]Snapshot
	// view is what the product has looked at and not acted on yet. A product that is killed has none.
	view *modelView
	// dirty is a run that saw what another wrote.
	dirty string
}

type modelInstance struct {
	Instance
	// pod says that the pod still has the claim.
	pod bool
}

type modelCopy struct {
	Copy
	uid     int
	writers string
}

type modelView struct {
	model
	method Method
}

func (m model) clone() model {
	m.copies, m.snapshots = maps.Clone(m.copies), maps.Clone(m.snapshots)
	if m.instance != nil {
		instance := *m.instance
		m.instance = &instance
	}
	return m
}

// key tells states apart.
func (m model) key() string {
	var text strings.Builder
	fmt.Fprint(&text, m.template, m.made, m.dirty)
	if m.instance != nil {
		fmt.Fprint(&text, *m.instance)
	}
	for _, name := range slices.Sorted(maps.Keys(m.copies)) {
		fmt.Fprint(&text, name, m.copies[name])
	}
	for _, name := range slices.Sorted(maps.Keys(m.snapshots)) {
		fmt.Fprint(&text, name, m.snapshots[name])
	}
	if m.view != nil {
		fmt.Fprint(&text, "view", m.view.key(), m.version-m.view.version)
	}
	return text.String()
}

// step is a change that somebody makes.
type step struct {
	name string
	next model
}

func (m model) steps(method Method) []step {
	var all []step
	add := func(name string, change func(*model)) {
		next := m.clone()
		change(&next)
		all = append(all, step{name, next})
	}
	m.cluster(add)
	add("the product looks", func(n *model) {
		seen := m.clone()
		seen.view = nil
		n.view = &modelView{model: seen, method: method}
	})
	if m.view != nil {
		add("the product is killed", func(n *model) { n.view = nil })
		add("the product acts", func(n *model) { n.act(); n.view = nil })
	}
	return all
}

// cluster is what KubeVirt, CDI, the snapshot controller and garbage collection do.
func (m model) cluster(add func(string, func(*model))) {
	switch {
	case m.instance == nil && m.made < lastInstance:
		add("KubeVirt makes an instance", func(n *model) {
			n.made++
			n.instance = &modelInstance{Instance: Instance{UID: types.UID(fmt.Sprint("vmi-", n.made)), Claim: m.template}}
		})
	case m.instance != nil && !m.instance.Over:
		if found, there := m.copies[m.instance.Claim]; !m.instance.Placed && there && found.Filled && !found.Going {
			add("the instance starts and writes", func(n *model) {
				n.instance.Placed, n.instance.pod = true, true
				if found.writers != "" {
					n.dirty = string(n.instance.UID) + " saw " + found.writers
				}
				found.writers += string(n.instance.UID)
				n.copies[n.instance.Claim] = found
			})
		}
		add("the instance ends", func(n *model) { n.instance.Over = true })
	case m.instance != nil:
		// The pod may outlive the end of its instance, and the instance its pod.
		add("the instance is removed", func(n *model) { n.instance = nil })
	}
	for name, found := range m.copies {
		if !found.Filled && !found.Going {
			add("CDI fills "+name, func(n *model) { found.Filled = true; n.copies[name] = found })
		}
		orphan := m.instance == nil || m.instance.UID != found.Owner
		if orphan && !found.Going {
			add("garbage collection deletes "+name, func(n *model) { found.Going = true; n.copies[name] = found })
		}
		if found.Going && !(m.instance != nil && m.instance.pod && m.instance.Claim == name) {
			add("copy "+name+" goes", func(n *model) { delete(n.copies, name) })
		}
	}
	for name, found := range m.snapshots {
		if !found.Ready {
			add("snapshot "+name+" is ready", func(n *model) { found.Ready = true; n.snapshots[name] = found })
		}
		if found.Going || m.instance == nil || m.instance.UID != found.Owner {
			add("snapshot "+name+" goes", func(n *model) { delete(n.snapshots, name) })
		}
	}
}

// act carries out what the product decides from its view, as the servers would let it: what exists is not made again, a patch
// needs the version that was seen, and only what was seen is deleted.
func (m *model) act() {
	seen := m.view
	o := Observed{Template: seen.template, Method: seen.method}
	used, uid := "", types.UID("")
	if seen.instance != nil {
		instance := seen.instance.Instance
		o.Instance, used, uid = &instance, instance.Claim, instance.UID
	}
	if next := ForNextRun(modelMachine, modelFilesystem, seen.template, used, uid, "fresh"); next != seen.template {
		if seen.version != m.version {
			return
		}
		m.template, o.Template = next, next
		m.version++
	}
	if found, there := seen.copies[used]; there {
		o.Copy = &found.Copy
	}
	if found, there := seen.snapshots[used]; there {
		o.Snapshot = &found
	}
	switch Plan(o) {
	case TakeSnapshot:
		if _, there := m.snapshots[used]; !there {
			m.snapshots[used] = Snapshot{Owner: uid}
		}
	case MakeCopy:
		if _, there := m.copies[used]; !there {
			m.copies[used] = modelCopy{Copy: Copy{Owner: uid}}
		}
	case DropSnapshot:
		if m.snapshots[used].Owner == seen.snapshots[used].Owner {
			delete(m.snapshots, used)
		}
	case DropCopy:
		if found, there := m.copies[used]; there && found.Owner == seen.copies[used].Owner {
			found.Going = true
			m.copies[used] = found
		}
	case Restart:
		if m.instance != nil && m.instance.UID == uid {
			m.instance.Over = true
		}
	}
}

func begin() model {
	return model{
		template: Name(modelMachine, modelFilesystem, "first"), copies: map[string]modelCopy{}, snapshots: map[string]Snapshot{},
	}
}

// Whatever comes first, and wherever the product is killed: no run sees what another wrote, and every run gets its copy.
func TestNoRunSeesTheWritesOfAnother(t *testing.T) {
	for _, method := range []Method{BySnapshot, Directly} {
		t.Run(string(method), func(t *testing.T) {
			type visit struct {
				model model
				path  []string
			}
			seen := map[string]bool{}
			queue := []visit{{model: begin()}}
			starts := 0
			for len(queue) > 0 {
				here := queue[0]
				queue = queue[1:]
				require.Empty(t, here.model.dirty, strings.Join(here.path, "\n"))
				requireProgress(t, here.model, method, here.path)
				for _, s := range here.model.steps(method) {
					key := s.next.key()
					if seen[key] {
						continue
					}
					seen[key] = true
					if s.name == "the instance starts and writes" {
						starts++
					}
					queue = append(queue, visit{s.next, append(slices.Clone(here.path), s.name)})
				}
			}
			require.NotZero(t, starts)
			t.Logf("%d states, %d starts", len(seen), starts)
		})
	}
}

// requireProgress lets everybody do what they can, and expects the instance to start.
func requireProgress(t *testing.T, m model, method Method, path []string) {
	if m.instance == nil || m.instance.Over || m.instance.Placed {
		return
	}
	m.view = nil
	for range 20 {
		moved := false
		for _, s := range m.steps(method) {
			switch {
			case s.name == "the instance starts and writes":
				return
			case s.name == "the instance ends":
			case s.next.key() != m.key() && s.name != "the product looks":
				m, moved = s.next, true
			}
			if moved {
				break
			}
		}
		if !moved {
			looked := m.clone()
			looked.view = &modelView{model: m.clone(), method: method}
			looked.act()
			looked.view = nil
			m = looked
		}
	}
	require.Fail(t, "the instance never starts", strings.Join(path, "\n"))
}
