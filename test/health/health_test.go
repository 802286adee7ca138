// Package health tests what tools of others make of a VirtualServer: Argo CD's and Flux's health checks in artifacts/health, run
// by the engines that these use, and the library kstatus, which Flux, Helm 4 and kpt use where nothing else is said. It is a
// module of its own, so that the product does not depend on them.
package health

import (
	"os"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

// machine is a VirtualServer of a spec strategy in a state, with conditions written as "Type=Status Reason".
func machine(strategy, phase string, conditions ...string) map[string]any {
	list := []any{}
	for _, text := range conditions {
		kind, rest, _ := strings.Cut(text, "=")
		truth, reason, _ := strings.Cut(rest, " ")
		list = append(list, map[string]any{"type": kind, "status": truth, "reason": reason, "message": "because of " + reason})
	}
	return map[string]any{
		"apiVersion": "tensorstack.dev/v1beta1", "kind": "VirtualServer",
		"metadata": map[string]any{"name": "web", "namespace": "default", "generation": int64(3)},
		"spec":     map[string]any{"runStrategy": strategy},
		"status": map[string]any{"observedGeneration": int64(3), "printableStatus": phase, "message": "says " + phase,
			"conditions": list},
	}
}

const (
	imported  = "DataImported=True Succeeded"
	importing = "DataImported=False ImportInProgress"
	up        = "Ready=True Running"
	down      = "Ready=False VMINotExists"
)

type expectation struct {
	object  map[string]any
	argo    string
	flux    string
	kstatus status.Status
}

func expectations() map[string]expectation {
	old := machine("Always", "Running", imported, up)
	old["metadata"].(map[string]any)["generation"] = int64(4)
	fresh := machine("Always", "")
	delete(fresh, "status")
	deleted := machine("Always", "Terminating", imported, down)
	deleted["metadata"].(map[string]any)["deletionTimestamp"] = "2026-01-01T00:00:00Z"
	return map[string]expectation{
		"fresh":               {fresh, "Progressing", "inProgress", ""},
		"spec has changed":    {old, "Progressing", "inProgress", status.InProgressStatus},
		"imports":             {machine("Always", "Provisioning", importing, down), "Progressing", "", status.InProgressStatus},
		"runs":                {machine("Always", "Running", imported, up), "Healthy", "current", status.CurrentStatus},
		"runs, once crashed":  {machine("Always", "Running", imported, up, "Failure=False Recovered"), "Healthy", "current", status.CurrentStatus},
		"paused":              {machine("Always", "Paused", imported, "Ready=False Paused"), "Suspended", "", status.InProgressStatus},
		"halted as asked":     {machine("Halted", "Stopped", imported, down), "Healthy", "current", status.InProgressStatus},
		"manual, not started": {machine("Manual", "Stopped", imported, down), "Healthy", "current", status.InProgressStatus},
		"halted, imports":     {machine("Halted", "Stopped", importing, down), "Progressing", "", status.InProgressStatus},
		"halted, on start":    {machine("Halted", "Stopped", "DataImported=False WaitForFirstConsumer", down), "Healthy", "current", status.InProgressStatus},
		"halted, no image":    {machine("Halted", "Stopped", "DataImported=False ImportError", down), "Degraded", "failed", status.InProgressStatus},
		"stopped by a person": {machine("Always", "Stopped", imported, down), "Suspended", "", status.InProgressStatus},
		"manual, crashed":     {machine("Manual", "Stopped", imported, down, "Failure=True OOMKilled"), "Degraded", "failed", status.InProgressStatus},
		"image not found":     {machine("Always", "Provisioning", "DataImported=False ImportError", down), "Degraded", "failed", status.InProgressStatus},
		"image server busy":   {machine("Always", "Provisioning", "DataImported=False ImportRetrying", down), "Progressing", "", status.InProgressStatus},
		"no quota":            {machine("Always", "Starting", imported, "Ready=False QuotaExceeded"), "Degraded", "failed", status.InProgressStatus},
		"GPU not permitted":   {machine("Always", "Starting", imported, "Ready=False HostDeviceNotPermitted"), "Degraded", "failed", status.InProgressStatus},
		"refused":             {machine("Always", "Provisioning", imported, down, "Reconciled=False Refused"), "Degraded", "failed", status.InProgressStatus},
		"no room":             {machine("Always", "FailedUnschedulable", imported, down), "Degraded", "failed", status.InProgressStatus},
		"crash loop":          {machine("Always", "CrashLoopBackOff", imported, down), "Degraded", "failed", status.InProgressStatus},
		"node silent":         {machine("Always", "Unknown", imported, "Ready=Unknown NodeLost"), "Degraded", "failed", status.InProgressStatus},
		"is deleted":          {deleted, "Progressing", "", status.TerminatingStatus},
	}
}

func TestArgo(t *testing.T) {
	script, err := os.ReadFile("../../artifacts/health/argocd.lua")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range expectations() {
		state := lua.NewState()
		state.SetGlobal("obj", toLua(state, test.object))
		if err := state.DoString(string(script)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		answer, ok := state.Get(-1).(*lua.LTable)
		if !ok {
			t.Fatalf("%s: the script returns a %s", name, state.Get(-1).Type())
		}
		if got := answer.RawGetString("status").String(); got != test.argo {
			t.Errorf("%s: %s, want %s", name, got, test.argo)
		}
		state.Close()
	}
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch v := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, item := range v {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range v {
			table.Append(toLua(state, item))
		}
		return table
	case string:
		return lua.LString(v)
	case int64:
		return lua.LNumber(v)
	default:
		return lua.LNil
	}
}

// Flux evaluates inProgress, failed and current in this order, over the fields of the object.
func TestFlux(t *testing.T) {
	text, err := os.ReadFile("../../artifacts/health/flux.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var checks []map[string]string
	if err := yaml.Unmarshal(text, &checks); err != nil {
		t.Fatal(err)
	}
	env, err := cel.NewEnv(cel.HomogeneousAggregateLiterals(), cel.EagerlyValidateDeclarations(true), cel.DefaultUTCTimeZone(true),
		ext.Strings(), cel.Variable("metadata", cel.DynType), cel.Variable("spec", cel.DynType), cel.Variable("status", cel.DynType))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range expectations() {
		got := ""
		for _, stage := range []string{"inProgress", "failed", "current"} {
			ast, issues := env.Compile(checks[0][stage])
			if issues.Err() != nil {
				t.Fatalf("%s: %v", stage, issues.Err())
			}
			program, err := env.Program(ast)
			if err != nil {
				t.Fatal(err)
			}
			input := map[string]any{"metadata": test.object["metadata"], "spec": test.object["spec"], "status": map[string]any{}}
			if found := test.object["status"]; found != nil {
				input["status"] = found
			}
			value, _, err := program.Eval(input)
			if err != nil {
				t.Fatalf("%s: %s: %v", name, stage, err)
			}
			if value.Value() == true {
				got = stage
				break
			}
		}
		if got != test.flux {
			t.Errorf("%s: %q, want %q", name, got, test.flux)
		}
	}
}

// What kstatus makes of a VirtualServer without more is what docs/status.md says of "helm --wait": a machine that is to be
// down is never current, because the guide fixes Ready there.
func TestKstatus(t *testing.T) {
	for name, test := range expectations() {
		if test.kstatus == "" {
			continue
		}
		result, err := status.Compute(&unstructured.Unstructured{Object: test.object})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if result.Status != test.kstatus {
			t.Errorf("%s: %s, want %s (%s)", name, result.Status, test.kstatus, result.Message)
		}
	}
}
