package virtualserver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// A second stop is told what the machine does, and not what the first one did to the strategy.
func TestASecondStopIsToldInPlainWords(t *testing.T) {
	const underWay = "stop is not possible: the machine is shutting down already; wait for it, or stop with force to end it at once"
	for name, test := range map[string]struct {
		strategy tensorstack.RunStrategy
		pending  *tensorstack.Operation
		machine  Machine
		want     string
	}{
		"under Halted":           {halted, nil, stopping, underWay},
		"under Manual":           {manual, nil, stopping, underWay},
		"under Halted, stopped":  {halted, nil, none, "the machine is stopped already; use start to run it"},
		"under Halted, ended":    {halted, nil, ended, "the machine is stopped already; use start to run it"},
		"under Manual, stopped":  {manual, nil, none, "the machine is stopped already; use start to run it"},
		"not carried out yet":    {halted, pendingOperation(stop, nil), running, "the machine is being stopped already, the stop that "},
		"carried out just now":   {halted, pendingOperation(stop, nil), stopping, "the machine is being stopped already, the stop that "},
		"not yet, under Manual":  {manual, pendingOperation(stop, seconds(60)), running, "wait for it, or stop with force to end it at once"},
		"Halted by KubeVirt":     {halted, nil, running, underWay},
		"the same grace, Halted": {halted, pendingOperation(stop, seconds(9)), stopping, "is not carried out yet"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Accept(&tensorstack.VirtualServerStatus{RunStrategy: test.strategy, PendingOperation: test.pending}, test.machine, Request{Type: stop}, now())
			require.ErrorContains(t, err, test.want)
		})
	}
}

// The answer to an operation says nothing that was true before it only.
func TestTheAnswerDoesNotCarryTheOldMessage(t *testing.T) {
	for name, test := range map[string]struct {
		strategy tensorstack.RunStrategy
		machine  Machine
		request  Request
		old      string
	}{
		"start":            {halted, none, Request{Type: start}, "Run strategy is Halted; use start to run the machine."},
		"start, Manual":    {manual, none, Request{Type: start}, "GuestCrashed: Run strategy Manual does not start it again; use start."},
		"start, paused":    {halted, none, Request{Type: start, Paused: true}, "Run strategy is Halted; use start to run the machine."},
		"start after stop": {halted, stopping, Request{Type: start}, "the guest is shutting down, it is killed at 12:00"},
		"stop":             {always, running, Request{Type: stop}, ""},
		"stop, forced":     {manual, stopping, Request{Type: stop, GracePeriodSeconds: seconds(0)}, "the guest is shutting down"},
		"restart":          {always, running, Request{Type: restart}, "paused"},
	} {
		t.Run(name, func(t *testing.T) {
			status := &tensorstack.VirtualServerStatus{RunStrategy: test.strategy, Message: test.old}
			test.request.User = "ann"
			require.NoError(t, Accept(status, test.machine, test.request, now()))
			assert.Equal(t, string(test.request.Type)+" asked for by ann, about to be carried out", status.Message)
		})
	}
	status := &tensorstack.VirtualServerStatus{RunStrategy: always, Message: "as it was"}
	require.Error(t, Accept(status, running, Request{Type: start}, now()))
	assert.Equal(t, "as it was", status.Message, "a refused one changes nothing")
}

func TestTheTableShowsWhatRuns(t *testing.T) {
	runs := func(cores int32, memory string) *tensorstack.RunningResources {
		return &tensorstack.RunningResources{Cores: cores, Memory: resource.MustParse(memory)}
	}
	for name, test := range map[string]struct {
		cores                 intstr.IntOrString
		memory                string
		runs                  *tensorstack.RunningResources
		wantCores, wantMemory string
	}{
		"it does not run":         {intstr.FromInt32(2), "4Gi", nil, "2", "4Gi"},
		"as it is written":        {intstr.FromInt32(2), "4Gi", runs(2, "4Gi"), "2", "4Gi"},
		"written otherwise":       {intstr.FromString("2"), "4096Mi", runs(2, "4Gi"), "2", "4Gi"},
		"more cores are to come":  {intstr.FromInt32(4), "4Gi", runs(2, "4Gi"), "2 -> 4", "4Gi"},
		"less memory is to come":  {intstr.FromString("2"), "1Gi", runs(2, "4Gi"), "2", "4Gi -> 1Gi"},
		"both are to come":        {intstr.FromString("8"), "16Gi", runs(1, "512Mi"), "1 -> 8", "512Mi -> 16Gi"},
		"KubeVirt's own topology": {intstr.FromInt32(4), "4Gi", runs(4, "4Gi"), "4", "4Gi"},
	} {
		t.Run(name, func(t *testing.T) {
			vs := &tensorstack.VirtualServer{}
			vs.Spec.Resources = tensorstack.Resources{CPU: tensorstack.CPU{Cores: test.cores}, Memory: resource.MustParse(test.memory)}
			vs.Status.Resources = test.runs
			assert.Equal(t, test.wantCores, cores(vs))
			assert.Equal(t, test.wantMemory, memory(vs))
		})
	}
}
