package app

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// called gives a machine another name.
func called(name string) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) { vs.Name = name }
}

func TestAnOperationOnSeveralMachines(t *testing.T) {
	three := func() *cluster {
		return newCluster(t, machine(called("a")), machine(called("b"), is(v1beta1.StatusStopped, "")), machine(called("c")))
	}
	here := three()
	got := here.runs(t, nil, "restart", "a", "c", "a")
	assert.Equal(t, outcome{out: "virtualserver/a restarting\nvirtualserver/c restarting\n"}, got, "each once")

	// What fails with one does not keep the others from it.
	here = three()
	got = here.runs(t, nil, "restart", "a", "b", "c", "missing")
	assert.Equal(t, 1, got.code)
	assert.Equal(t, "virtualserver/a restarting\nvirtualserver/c restarting\n", got.out)
	assert.Regexp(t, `(?s)^b: .*the machine is not running\nmissing: .*"missing" not found in namespace "team"\nerror: 2 of 4 machines: not done$`, got.err)

	here = three()
	got = here.runs(t, nil, "stop", "--all", "--if-needed")
	assert.Equal(t, 1, got.code, "b is stopped for the moment only, and this server refuses")
	assert.Contains(t, got.out, "virtualserver/a stopping\n")
	assert.Contains(t, got.out, "virtualserver/c stopping\n")

	here = newCluster(t)
	got = here.runs(t, nil, "stop", "-l", "team=blue")
	assert.Equal(t, outcome{err: "No VirtualServers found in namespace team.\n"}, got)
}

// One's own console is ended only after a yes.
func TestAConsoleThatIsHeld(t *testing.T) {
	held := refusedBecause(http.StatusConflict, "ann holds the console since 2026-07-01T12:00:00Z", v1beta1.CauseSessionHeld)
	here := newCluster(t, machine())
	here.open = func(string) error { return held }
	got := here.runs(t, nil, "console", "my-vs", "--timeout", "0")
	assert.Contains(t, got.err, "--take-over ends that session", "a script is not asked")
	assert.NotContains(t, got.err, "[y/N]")
}
