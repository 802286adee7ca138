package stream

import (
	"testing"

	"github.com/stretchr/testify/assert"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func TestReadiness(t *testing.T) {
	start := &tensorstack.Operation{Type: tensorstack.OperationStart}
	stop := &tensorstack.Operation{Type: tensorstack.OperationStop}
	for _, test := range []struct {
		name     string
		state    tensorstack.PrintableStatus
		strategy tensorstack.RunStrategy
		pending  *tensorstack.Operation
		deleted  bool
		want     readiness
	}{
		{name: "running", state: tensorstack.StatusRunning, strategy: tensorstack.RunStrategyAlways, want: ready},
		{name: "paused", state: tensorstack.StatusPaused, strategy: tensorstack.RunStrategyAlways, want: ready},
		{name: "migrating", state: tensorstack.StatusMigrating, strategy: tensorstack.RunStrategyManual, want: ready},
		{name: "its last words", state: tensorstack.StatusStopping, strategy: tensorstack.RunStrategyHalted, want: ready},
		{name: "node not heard from", state: tensorstack.StatusUnknown, strategy: tensorstack.RunStrategyAlways, want: ready},
		{name: "starting", state: tensorstack.StatusStarting, strategy: tensorstack.RunStrategyAlways, want: notYet},
		{name: "starting by hand", state: tensorstack.StatusStarting, strategy: tensorstack.RunStrategyManual, want: notYet},
		{name: "importing", state: tensorstack.StatusProvisioning, strategy: tensorstack.RunStrategyAlways, want: notYet},
		{name: "importing but halted", state: tensorstack.StatusProvisioning, strategy: tensorstack.RunStrategyHalted, want: never},
		{name: "importing, to be started by hand", state: tensorstack.StatusProvisioning, strategy: tensorstack.RunStrategyManual, want: never},
		{name: "importing, started by hand", state: tensorstack.StatusProvisioning, strategy: tensorstack.RunStrategyManual, pending: start, want: notYet},
		{name: "stopped under Always", state: tensorstack.StatusStopped, strategy: tensorstack.RunStrategyAlways, want: notYet},
		{name: "halted", state: tensorstack.StatusStopped, strategy: tensorstack.RunStrategyHalted, want: never},
		{name: "shut down from inside", state: tensorstack.StatusStopped, strategy: tensorstack.RunStrategyRerunOnFailure, want: never},
		{name: "start pending", state: tensorstack.StatusStopped, strategy: tensorstack.RunStrategyRerunOnFailure, pending: start, want: notYet},
		{name: "stop pending", state: tensorstack.StatusStarting, strategy: tensorstack.RunStrategyAlways, pending: stop, want: never},
		{name: "crash loop", state: tensorstack.StatusCrashLoopBackOff, strategy: tensorstack.RunStrategyAlways, want: notYet},
		{name: "no room", state: tensorstack.StatusFailedUnschedulable, strategy: tensorstack.RunStrategyAlways, want: notYet},
		{name: "new", strategy: "", want: notYet},
		{name: "terminating", state: tensorstack.StatusTerminating, strategy: tensorstack.RunStrategyAlways, want: never},
		{name: "deleted", state: tensorstack.StatusRunning, strategy: tensorstack.RunStrategyAlways, deleted: true, want: never},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := &tensorstack.VirtualServer{ObjectMeta: metav1.ObjectMeta{Name: "vs"}}
			server.Spec.RunStrategy = tensorstack.RunStrategyAlways
			server.Status.PrintableStatus, server.Status.RunStrategy = test.state, test.strategy
			server.Status.PendingOperation = test.pending
			if test.deleted {
				now := metav1.Now()
				server.DeletionTimestamp = &now
			}
			assert.Equal(t, test.want, readinessOf(server))
			err := readinessError(server)
			switch test.want {
			case ready:
				assert.NoError(t, err)
			case notYet:
				assert.True(t, apierrors.IsBadRequest(err), "virtctl waits on 400 only: %v", err)
			case never:
				assert.True(t, apierrors.IsConflict(err), "%v", err)
			}
		})
	}
}

func TestRunEnded(t *testing.T) {
	opened := &tensorstack.VirtualServer{ObjectMeta: metav1.ObjectMeta{Name: "vs"}}
	opened.Status.PrintableStatus = tensorstack.StatusRunning
	opened.Status.VM.InstanceUID = "one"
	for _, test := range []struct {
		name   string
		change func(*tensorstack.VirtualServer)
		want   string
	}{
		{name: "still there", change: func(*tensorstack.VirtualServer) {}},
		{name: "paused", change: func(s *tensorstack.VirtualServer) { s.Status.PrintableStatus = tensorstack.StatusPaused }},
		{name: "stopping", change: func(s *tensorstack.VirtualServer) { s.Status.PrintableStatus = tensorstack.StatusStopping }},
		{name: "migrating", change: func(s *tensorstack.VirtualServer) { s.Status.PrintableStatus = tensorstack.StatusMigrating }},
		{name: "stopped", change: func(s *tensorstack.VirtualServer) { s.Status.PrintableStatus = tensorstack.StatusStopped }, want: "stopped"},
		{name: "restarted", change: func(s *tensorstack.VirtualServer) { s.Status.VM.InstanceUID = "two" }, want: "restarted"},
		{name: "no run", change: func(s *tensorstack.VirtualServer) { s.Status.VM.InstanceUID = "" }, want: "stopped"},
		{name: "crashed", change: func(s *tensorstack.VirtualServer) {
			s.Status.VM.InstanceUID = ""
			s.Status.LastFailure = &tensorstack.MachineFailure{InstanceUID: "one", Reason: "OOMKilled"}
		}, want: "OOMKilled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := opened.DeepCopy()
			test.change(now)
			reason, ended := runEnded(opened, now)
			assert.Equal(t, test.want != "", ended)
			assert.Contains(t, reason.Reason, test.want)
		})
	}
	reason, ended := runEnded(opened, nil)
	assert.True(t, ended)
	assert.Contains(t, reason.Reason, "deleted")
}

func TestRefusals(t *testing.T) {
	server := &tensorstack.VirtualServer{ObjectMeta: metav1.ObjectMeta{Name: "vs"}}
	server.Status.PrintableStatus, server.Status.RunStrategy = tensorstack.StatusStarting, tensorstack.RunStrategyAlways
	for _, test := range []struct {
		name   string
		answer answer
		code   int
		text   string
	}{
		{"own account refused by virt-api", answer{401, "text/plain", []byte("not allowed")}, 503, "account of the VirtualServer API server"},
		{"own account refused by kube-apiserver", answer{403, "application/json", []byte(`{"message":"cannot get"}`)}, 503, "cannot get"},
		{"no run", answer{404, "application/json", []byte(`{"message":"virtualmachineinstance.kubevirt.io \"x\" not found"}`)}, 409, "not running"},
		{"already", answer{409, "application/json", []byte(`{"message":"Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io \"x\": VMI is already paused"}`)}, 409, `"vs": the machine is paused already; unpause lets it go on`},
		{"no guest agent", answer{500, "text/plain", []byte(`Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io "x": VMI does not have guest agent connected`)}, 409, "guest agent"},
		{"no claim", answer{404, "application/json", []byte(`{"message":"persistentvolumeclaims \"x\" not found"}`)}, 409, `persistentvolumeclaims "x" not found`},
		{"not allowed", answer{500, "application/json", []byte(`{"message":"Internal error occurred: admission webhook \"m.kubevirt.io\" denied the request: Cannot migrate VMI"}`)}, 409, "KubeVirt does not allow it: Cannot migrate VMI"},
		{"bad options", answer{400, "application/json", []byte(`{"message":"name must be set"}`)}, 400, "name must be set"},
		{"KubeVirt is away", answer{503, "text/plain", []byte("service unavailable")}, 503, "service unavailable"},
		{"redirect", answer{302, "", nil}, 500, "not passed on"},
		{"control characters", answer{500, "text/plain", []byte("a\x1b[31m\r\nb")}, 500, "a [31m  b"},
		{"not the JSON it claims", answer{500, "application/json", []byte("<html>")}, 500, "<html>"},
		{"nothing", answer{500, "", nil}, 500, "Internal Server Error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.answer.refusal(server)
			assert.Equal(t, test.code, statusCode(err))
			assert.ErrorContains(t, err, test.text)
		})
	}
	assert.Equal(t, 400, statusCode(answer{code: 404}.streamRefusal(server, Call{})), "a machine that is starting has no run yet")
	server.Status.PrintableStatus = tensorstack.StatusStopped
	server.Status.RunStrategy = tensorstack.RunStrategyHalted
	assert.Equal(t, 409, statusCode(answer{code: 404}.streamRefusal(server, Call{})))
}

func TestClosingFrames(t *testing.T) {
	for _, test := range []struct{ code, want int }{{1000, 1000}, {1005, 1000}, {1006, 1011}, {1015, 1011}, {4000, 4000}, {0, 1011}, {70000, 1011}} {
		assert.Equal(t, test.want, Closing{Code: test.code}.code())
	}
	long := closing(1000, "%s", "über"+string(make([]rune, 300)))
	assert.LessOrEqual(t, len(long.frame()), 125, "a control frame holds 125 bytes")
	assert.Equal(t, "ää...", shorten("äääääää", 8), "no character is cut in two")
}
