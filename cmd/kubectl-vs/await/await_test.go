package await

import (
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

type change func(*v1beta1.VirtualServer)

func server(strategy v1beta1.RunStrategy, phase v1beta1.PrintableStatus, instance types.UID, changes ...change) *v1beta1.VirtualServer {
	vs := &v1beta1.VirtualServer{}
	vs.Spec.RunStrategy, vs.Status.RunStrategy = strategy, strategy
	vs.Status.PrintableStatus, vs.Status.VM.InstanceUID = phase, instance
	for _, change := range changes {
		change(vs)
	}
	return vs
}

func pending(kind v1beta1.OperationType) change {
	return func(vs *v1beta1.VirtualServer) { vs.Status.PendingOperation = &v1beta1.Operation{ID: "op", Type: kind} }
}

func ended(result v1beta1.OperationResult, message string) change {
	return func(vs *v1beta1.VirtualServer) {
		vs.Status.Operations = []v1beta1.OperationRecord{{ID: "op", Type: v1beta1.OperationStart, Result: result, Message: message}}
	}
}

func condition(kind, reason, message string) change {
	return func(vs *v1beta1.VirtualServer) {
		vs.Status.Conditions = append(vs.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message})
	}
}

func deleted(vs *v1beta1.VirtualServer) { vs.DeletionTimestamp = &metav1.Time{} }

func says(message string) change {
	return func(vs *v1beta1.VirtualServer) { vs.Status.Message = message }
}

const (
	waits = "waits"
	done  = "done"
)

func TestEveryWaitEnds(t *testing.T) {
	start, stop, restart := Running(false), Stopped("a"), Restarted("a")
	pause, unpause := Paused("a"), Unpaused("a")
	followed := func(goal Goal) Goal {
		goal.Follow(v1beta1.OperationStart, server("Always", "Stopped", "", pending(v1beta1.OperationStart)))
		return goal
	}
	for name, test := range map[string]struct {
		goal Goal
		now  *v1beta1.VirtualServer
		want string
	}{
		"start: runs":                    {start, server("Always", "Running", "a"), done},
		"start: pending":                 {start, server("Manual", "Stopped", "", pending(v1beta1.OperationStart)), waits},
		"start: starting":                {start, server("Always", "Starting", "a"), waits},
		"start: imports":                 {start, server("Always", "Provisioning", ""), waits},
		"start: back-off":                {start, server("Always", "CrashLoopBackOff", ""), waits},
		"start: no room now":             {start, server("Always", "FailedUnschedulable", "a"), waits},
		"start: node silent":             {start, server("Always", "Unknown", "a"), waits},
		"start: shut down at once":       {start, server("Manual", "Stopped", "", says("Run strategy is Manual.")), "the machine is Stopped: Run strategy is Manual."},
		"start: stopped by somebody":     {start, server("Halted", "Stopping", "a"), waits},
		"start: halted by somebody":      {start, server("Halted", "Starting", "a"), "the machine is being stopped"},
		"start: paused":                  {start, server("Always", "Paused", "a"), "the machine is paused; unpause lets it go on"},
		"start paused: paused":           {Running(true), server("Always", "Paused", "a"), done},
		"start: deleted":                 {start, server("Always", "Starting", "a", deleted), "the VirtualServer is being deleted"},
		"start: VirtualMachine deleted":  {start, server("Always", "Terminating", "a"), "the machine is being deleted"},
		"start: failed":                  {followed(start), server("Always", "Stopped", "", ended(v1beta1.OperationFailed, "old copy")), "the start failed: old copy"},
		"start: superseded":              {followed(start), server("Halted", "Stopping", "a", pending(v1beta1.OperationStop), ended(v1beta1.OperationSuperseded, "stop by ann took its place")), "the start was given up: stop by ann took its place"},
		"start: carried out, runs":       {followed(start), server("Always", "Running", "a", ended(v1beta1.OperationSucceeded, "")), done},
		"start: image not found":         {start, server("Always", "Provisioning", "", condition("DataImported", "ImportError", "404")), "ImportError, and that does not go away by itself: 404"},
		"start: image server is busy":    {start, server("Always", "Provisioning", "", condition("DataImported", "ImportRetrying", "503")), waits},
		"start: refused by KubeVirt":     {start, server("Always", "Provisioning", "", condition("Reconciled", "Refused", "no")), "Refused, and that does not go away by itself: no"},
		"start: webhook does not answer": {start, server("Always", "Provisioning", "", condition("Reconciled", "Unavailable", "no")), waits},
		"start: GPU not permitted":       {start, server("Always", "Starting", "a", condition("Ready", "HostDeviceNotPermitted", "gpu")), "HostDeviceNotPermitted, and that does not go away by itself: gpu"},

		"stop: stopped":                    {stop, server("Halted", "Stopped", ""), done},
		"stop: stopped while it imports":   {stop, server("Halted", "Stopped", "", condition("DataImported", "ImportError", "404")), done},
		"stop: shuts down":                 {stop, server("Halted", "Stopping", "a"), waits},
		"stop: pending":                    {stop, server("Manual", "Running", "a", pending(v1beta1.OperationStop)), waits},
		"stop: what was seen is old":       {stop, server("Manual", "Running", "a"), waits},
		"stop: halted, seen is old":        {stop, server("Halted", "Running", "a"), waits},
		"stop: started again":              {stop, server("Manual", "Running", "b"), "the machine was started again, it is Running"},
		"stop: started again under Always": {stop, server("Always", "Starting", "b", says("about to start")), "the machine was started again, it is Starting: about to start"},
		"stop: deleted":                    {stop, server("Halted", "Stopping", "a", deleted), "the VirtualServer is being deleted"},

		"restart: runs anew":        {restart, server("Always", "Running", "b"), done},
		"restart: runs still":       {restart, server("Always", "Running", "a", pending(v1beta1.OperationRestart)), waits},
		"restart: shuts down":       {restart, server("Always", "Stopping", "a", pending(v1beta1.OperationRestart)), waits},
		"restart: given up, halted": {restart, server("Halted", "Stopped", ""), "the machine is Stopped"},
		"restart: paused anew":      {restart, server("Always", "Paused", "b"), "the machine is paused; unpause lets it go on"},

		"pause: paused":     {pause, server("Always", "Paused", "a"), done},
		"pause: runs yet":   {pause, server("Always", "Running", "a"), waits},
		"pause: stopping":   {pause, server("Always", "Stopping", "a"), "the machine is Stopping"},
		"pause: stopped":    {pause, server("Halted", "Stopped", ""), "the machine is Stopped"},
		"pause: crashed":    {pause, server("Always", "Starting", "b"), "the machine is Starting"},
		"pause: runs anew":  {pause, server("Always", "Running", "b"), "the machine has ended and runs again since"},
		"pause: deleted":    {pause, server("Always", "Terminating", "a", deleted), "the VirtualServer is being deleted"},
		"pause: stop comes": {pause, server("Halted", "Stopping", "a", pending(v1beta1.OperationStop)), "the machine is Stopping"},

		"unpause: runs":        {unpause, server("Always", "Running", "a"), done},
		"unpause: paused yet":  {unpause, server("Always", "Paused", "a"), waits},
		"unpause: stops":       {unpause, server("Halted", "Stopping", "a"), "the machine is Stopping"},
		"unpause: stopped":     {unpause, server("Manual", "Stopped", ""), "the machine is Stopped"},
		"unpause: back-off":    {unpause, server("Always", "CrashLoopBackOff", ""), "the machine is CrashLoopBackOff"},
		"unpause: node silent": {unpause, server("Always", "Unknown", "a"), waits},
		"unpause: migrates":    {unpause, server("Always", "Migrating", "a"), waits},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, shown(test.goal.Judge(test.now))) })
	}
}

func TestWaitForANewMachine(t *testing.T) {
	for name, test := range map[string]struct {
		now  *v1beta1.VirtualServer
		want string
	}{
		"not seen yet":       {server("Always", "", ""), waits},
		"imports":            {server("Always", "Provisioning", "", condition("DataImported", "ImportInProgress", "")), waits},
		"runs":               {server("Always", "Running", "a"), done},
		"manual, imports":    {server("Manual", "Stopped", "", condition("DataImported", "ImportInProgress", "")), waits},
		"halted, on start":   {server("Halted", "Stopped", "", condition("DataImported", "WaitForFirstConsumer", "")), done},
		"halted, no class":   {server("Halted", "Stopped", "", condition("DataImported", "StorageClassNotFound", "x")), "StorageClassNotFound, and that does not go away by itself: x"},
		"image not found":    {server("Always", "Provisioning", "", condition("DataImported", "ImportError", "x")), "ImportError, and that does not go away by itself: x"},
		"quota":              {server("Always", "Provisioning", "", condition("DataImported", "QuotaExceeded", "x")), "QuotaExceeded, and that does not go away by itself: x"},
		"claim missing":      {server("Always", "Provisioning", "a", condition("Ready", "ClaimNotFound", "x")), "ClaimNotFound, and that does not go away by itself: x"},
		"source in use":      {server("Always", "Provisioning", "", condition("DataImported", "CloneSourceInUse", "x")), "CloneSourceInUse, and that does not go away by itself: x"},
		"stopped by another": {server("Always", "Stopped", "", says("Run strategy is Halted.")), "the machine is Stopped: Run strategy is Halted."},
		"stalled":            {server("Always", "Provisioning", "", condition("DataImported", "ImportStalled", "x")), waits},
		"deleted":            {server("Always", "Provisioning", "", deleted), "the VirtualServer is being deleted"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, shown(Created(test.now))) })
	}
}

func shown(verdict Verdict) string {
	switch {
	case verdict.Why != "":
		return verdict.Why
	case verdict.Done:
		return done
	default:
		return waits
	}
}
