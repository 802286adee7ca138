package handler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/faults"
	"tensorstack.dev/virtualserver/test/nodeagent/guest"
)

func TestNext(t *testing.T) {
	in := func(state guest.State) *guest.Status { return &guest.Status{State: state} }
	ended := func(exit guest.Exit) *guest.Status { return &guest.Status{State: guest.Exited, Exit: exit} }
	boot := func(mode faults.Mode) faults.Settings { return faults.Settings{Boot: mode} }
	hang := faults.Settings{Stop: faults.Hang}
	const half = 30 * time.Second
	tests := map[string]struct {
		view view
		want verdict
	}{
		"not scheduled":           {view{phase: kubevirtv1.Scheduling}, verdict{}},
		"boots":                   {view{phase: kubevirtv1.Scheduled}, verdict{launch: true}},
		"is booting":              {view{phase: kubevirtv1.Scheduled, guest: in(guest.Booting)}, verdict{}},
		"has booted":              {view{phase: kubevirtv1.Scheduled, guest: in(guest.Running)}, verdict{phase: kubevirtv1.Running}},
		"starts paused":           {view{phase: kubevirtv1.Scheduled, guest: in(guest.Paused)}, verdict{phase: kubevirtv1.Running}},
		"boot fails":              {view{phase: kubevirtv1.Scheduled, settings: boot(faults.Fail)}, verdict{phase: kubevirtv1.Failed}},
		"boot fails half way":     {view{phase: kubevirtv1.Scheduled, guest: in(guest.Booting), settings: boot(faults.Fail)}, verdict{phase: kubevirtv1.Failed, kill: true}},
		"boot hangs":              {view{phase: kubevirtv1.Scheduled, settings: boot(faults.Hang)}, verdict{}},
		"stopped before the boot": {view{phase: kubevirtv1.Scheduled, stopping: true, grace: half, left: half}, verdict{phase: kubevirtv1.Failed}},
		"runs":                    {view{phase: kubevirtv1.Running, guest: in(guest.Running)}, verdict{}},
		"boot faults come late":   {view{phase: kubevirtv1.Running, guest: in(guest.Running), settings: boot(faults.Fail)}, verdict{}},
		"agent restarted":         {view{phase: kubevirtv1.Running}, verdict{launch: true}},
		"agent restarted in stop": {view{phase: kubevirtv1.Running, stopping: true, grace: half}, verdict{launch: true}},
		"stop":                    {view{phase: kubevirtv1.Running, guest: in(guest.Running), stopping: true, grace: half, left: half}, verdict{shutdown: true, again: half}},
		"stop hangs":              {view{phase: kubevirtv1.Running, guest: in(guest.Running), stopping: true, grace: half, left: half, settings: hang}, verdict{again: half}},
		"stop at the deadline":    {view{phase: kubevirtv1.Running, guest: in(guest.Running), stopping: true, grace: half, settings: hang}, verdict{kill: true}},
		"stop without grace":      {view{phase: kubevirtv1.Running, guest: in(guest.Paused), stopping: true}, verdict{kill: true}},
		"powered off":             {view{phase: kubevirtv1.Running, guest: ended(guest.PoweredOff), causeShown: true}, verdict{phase: kubevirtv1.Succeeded}},
		"killed late":             {view{phase: kubevirtv1.Running, guest: ended(guest.Destroyed), grace: half, causeShown: true}, verdict{phase: kubevirtv1.Failed}},
		"killed as asked":         {view{phase: kubevirtv1.Running, guest: ended(guest.Destroyed), causeShown: true}, verdict{phase: kubevirtv1.Succeeded}},
		"crashed":                 {view{phase: kubevirtv1.Running, guest: ended(guest.Crashed), causeShown: true}, verdict{phase: kubevirtv1.Failed}},
		"out of memory, not told": {view{phase: kubevirtv1.Running, guest: ended(guest.OutOfMemory)}, verdict{again: causePoll}},
		"out of memory, told":     {view{phase: kubevirtv1.Running, guest: ended(guest.OutOfMemory), causeShown: true}, verdict{phase: kubevirtv1.Failed}},
		"final":                   {view{phase: kubevirtv1.Failed, guest: in(guest.Running)}, verdict{kill: true}},
		"final and gone":          {view{phase: kubevirtv1.Succeeded, guest: ended(guest.PoweredOff)}, verdict{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, next(test.view))
		})
	}
}
