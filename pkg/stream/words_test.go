package stream

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// What KubeVirt says about its objects is told about the machine that the user knows. Its messages: pkg/virt-api/rest of KubeVirt.
func TestKubeVirtIsToldInWordsOfTheUser(t *testing.T) {
	running := &tensorstack.VirtualServer{}
	running.Name, running.Status.PrintableStatus = "vs", tensorstack.StatusRunning
	stopped := running.DeepCopy()
	stopped.Status.PrintableStatus, stopped.Status.RunStrategy, stopped.Status.Message = tensorstack.StatusStopped, tensorstack.RunStrategyHalted, "use start"
	const preamble = `Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io "managed-virtualserver-9dda9": `
	for name, test := range map[string]struct {
		code   int
		says   string
		server *tensorstack.VirtualServer
		want   string
	}{
		"paused twice":       {409, preamble + "VMI is already paused", running, `virtualservers.tensorstack.dev "vs": the machine is paused already; unpause lets it go on`},
		"unpaused twice":     {409, preamble + "VMI is not paused", running, `virtualservers.tensorstack.dev "vs": the machine is not paused, so there is nothing to unpause`},
		"rebooted paused":    {409, preamble + "VMI is paused", running, `virtualservers.tensorstack.dev "vs": the machine is paused; unpause it first`},
		"no agent":           {409, preamble + "VMI neither have the agent connected nor the ACPI feature enabled", running, `virtualservers.tensorstack.dev "vs": the machine neither have the agent connected nor the ACPI feature enabled`},
		"not running":        {409, preamble + "VM is not running", stopped, `virtualservers.tensorstack.dev "vs": the machine is not running`},
		"not yet":            {400, "VMI is not running", running, "the machine is not running"},
		"about another one":  {409, preamble + "claim x is too small", running, `virtualservers.tensorstack.dev "vs": claim x is too small`},
		"screenshot, no run": {500, `virtualmachineinstance.kubevirt.io "managed-virtualserver-9dda9" not found`, stopped, `virtualservers.tensorstack.dev "vs": the machine is not running (Stopped: use start)`},
		"screenshot, ended":  {500, "dialing virt-handler: refused", stopped, `virtualservers.tensorstack.dev "vs": the machine is not running (Stopped: use start); KubeVirt says: dialing virt-handler: refused`},
		"a fault":            {500, "boom", running, "Internal error occurred: KubeVirt answered 500: boom"},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(metav1.Status{Message: test.says})
			require.NoError(t, err)
			err = answer{code: test.code, contentType: "application/json", body: body}.operationRefusal(test.server)
			assert.EqualError(t, err, test.want)
			assert.Equal(t, test.code == http.StatusInternalServerError && test.server == running, statusCode(err) == http.StatusInternalServerError)
		})
	}
}
