package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestWhenAMachineIsGone(t *testing.T) {
	pending := func(vs *v1beta1.VirtualServer) {
		vs.Status.PendingOperation = &v1beta1.Operation{Type: v1beta1.OperationRestart}
	}
	deleted := func(vs *v1beta1.VirtualServer) { now := at(1); vs.DeletionTimestamp = &now }
	for name, test := range map[string]struct {
		server *v1beta1.VirtualServer
		want   bool
	}{
		"it runs":                        {machine(), false},
		"it is paused":                   {machine(is(v1beta1.StatusPaused, "")), false},
		"it starts again":                {machine(is(v1beta1.StatusStarting, "")), false},
		"it crashed and starts again":    {machine(is(v1beta1.StatusCrashLoopBackOff, "")), false},
		"it shuts down":                  {machine(is(v1beta1.StatusStopping, "")), false},
		"it moves":                       {machine(is(v1beta1.StatusMigrating, "")), false},
		"it stopped":                     {machine(is(v1beta1.StatusStopped, "")), true},
		"it stopped on its way to a run": {machine(is(v1beta1.StatusStopped, ""), pending), false},
		"it is being deleted":            {machine(is(v1beta1.StatusTerminating, "")), true},
		"it is deleted and runs yet":     {machine(deleted), true},
	} {
		assert.Equal(t, test.want, gone(test.server), name)
	}
}

// port-forward says Forwarding when all is well, and ends with a reason when the machine does not come back.
func TestPortForwardEndsWithTheMachine(t *testing.T) {
	another := machine(func(vs *v1beta1.VirtualServer) { vs.UID = "another" })
	for name, test := range map[string]struct {
		then *v1beta1.VirtualServer
		want string
	}{
		"deleted":    {nil, `error: virtualserver "my-vs" was deleted`},
		"stopped":    {machine(is(v1beta1.StatusStopped, "")), `error: the machine of virtualserver "my-vs" is Stopped`},
		"made again": {another, `error: virtualserver "my-vs" was deleted`},
	} {
		t.Run(name, func(t *testing.T) {
			here := newCluster(t, machine())
			opened := 0
			here.open = func(path string) error {
				opened++
				if strings.HasSuffix(path, "/81") {
					return refusedBecause(http.StatusConflict, "nothing listens on port 81 of the machine", v1beta1.CausePortClosed)
				}
				return nil
			}
			ended := make(chan outcome, 1)
			go func() { ended <- here.runs(t, nil, "port-forward", "my-vs", "0:80", "0:81") }()
			require.Eventually(t, func() bool {
				here.mu.Lock()
				defer here.mu.Unlock()
				return opened == 2
			}, 10*time.Second, 10*time.Millisecond)
			here.set("team/my-vs", test.then)
			got := <-ended
			assert.Equal(t, 1, got.code)
			assert.Equal(t, "Nothing listens on port 81 of the machine yet.\n"+test.want, got.err)
			assert.Regexp(t, `^Forwarding from 127.0.0.1:\d+ -> 80\nForwarding from 127.0.0.1:\d+ -> 81\n$`, got.out)
		})
	}
}
