package virtualserver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

const (
	always = v1beta1.RunStrategyAlways
	rerun  = v1beta1.RunStrategyRerunOnFailure
	manual = v1beta1.RunStrategyManual
	halted = v1beta1.RunStrategyHalted
)

func TestDecideStrategy(t *testing.T) {
	for _, test := range []struct {
		name  string
		state strategyState
		want  strategyVerdict
	}{
		{"all agree", strategyState{machine: always, applied: always, wanted: always}, strategyKeep},
		{"an operation changed the wanted one", strategyState{machine: always, applied: always, wanted: halted}, strategyWrite},
		{"the machine was created without a record", strategyState{machine: always, wanted: halted}, strategyWrite},
		{"the machine has it, the record not yet", strategyState{machine: halted, applied: always, wanted: halted}, strategyRecord},
		{"the machine has it, there is no record", strategyState{machine: halted, wanted: halted}, strategyRecord},
		{"virtctl stop", strategyState{machine: halted, applied: always, wanted: always}, strategyAdopt},
		{"a halt that an earlier operation left behind", strategyState{machine: halted, applied: always, wanted: always, pending: true}, strategyWrite},
		{"virtctl start", strategyState{machine: always, applied: halted, wanted: halted}, strategyAdopt},
		{"an edit to Manual", strategyState{machine: manual, applied: always, wanted: always}, strategyAdopt},
		{"an edit to a strategy that we do not have", strategyState{machine: "Once", applied: always, wanted: always}, strategyOverride},
		{"an edit against an accepted operation", strategyState{machine: manual, applied: always, wanted: halted}, strategyOverride},
		{"held for the import", strategyState{machine: always, applied: always, wanted: halted, held: true}, strategyWrite},
		{"started while held", strategyState{machine: always, applied: halted, wanted: halted, held: true}, strategyOverride},
		{"released after the import", strategyState{machine: halted, applied: halted, wanted: always}, strategyWrite},
		{"an older store wants a halted machine back", strategyState{machine: halted, applied: halted, wanted: always, storeBehind: true}, strategyAdopt},
		{"an older store wants a running machine down", strategyState{machine: always, applied: always, wanted: halted, storeBehind: true}, strategyAdopt},
		{"an older store, and an edit outside", strategyState{machine: manual, applied: always, wanted: halted, storeBehind: true}, strategyAdopt},
		{"an older store that agrees is recorded", strategyState{machine: always, applied: always, wanted: always, storeBehind: true}, strategyRecord},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, decideStrategy(test.state))
		})
	}
}

// A machine comes to rest: after the verdict has been carried out the next verdict is to keep everything.
func TestDecideStrategyComesToRest(t *testing.T) {
	strategies := []v1beta1.RunStrategy{"", always, rerun, manual, halted, "Once"}
	for _, machine := range strategies[1:] {
		for _, applied := range strategies {
			for _, wanted := range strategies[1:5] {
				for _, behind := range []bool{false, true} {
					state := strategyState{machine: machine, applied: applied, wanted: wanted, storeBehind: behind}
					for range 2 {
						switch decideStrategy(state) {
						case strategyWrite, strategyOverride:
							state.machine, state.applied, state.storeBehind = state.wanted, state.wanted, false
						case strategyRecord:
							state.applied, state.storeBehind = state.wanted, false
						case strategyAdopt:
							state.wanted = state.machine
						case strategyKeep:
						}
					}
					assert.Equal(t, strategyKeep, decideStrategy(state),
						"machine %q applied %q wanted %q behind %v", machine, applied, wanted, behind)
				}
			}
		}
	}
}

func TestStrategyOf(t *testing.T) {
	for _, test := range []struct {
		name string
		spec kubevirtv1.VirtualMachineSpec
		want v1beta1.RunStrategy
	}{
		{"runStrategy", kubevirtv1.VirtualMachineSpec{RunStrategy: ptr.To(kubevirtv1.RunStrategyManual)}, manual},
		{"running", kubevirtv1.VirtualMachineSpec{Running: ptr.To(true)}, always},
		{"not running", kubevirtv1.VirtualMachineSpec{Running: ptr.To(false)}, halted},
		{"both", kubevirtv1.VirtualMachineSpec{Running: ptr.To(true), RunStrategy: ptr.To(kubevirtv1.RunStrategyManual)}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, strategyOf(&kubevirtv1.VirtualMachine{Spec: test.spec}))
		})
	}
}

func TestIsOlder(t *testing.T) {
	vs := &v1beta1.VirtualServer{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "100"}}
	assert.False(t, isOlder(vs, ""), "no record")
	assert.False(t, isOlder(vs, "99"))
	assert.False(t, isOlder(vs, "100"))
	assert.True(t, isOlder(vs, "101"))
	assert.True(t, isOlder(vs, "1000"), "versions are numbers, not texts")
	assert.False(t, isOlder(vs, "damaged"))
}
