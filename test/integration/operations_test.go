package integration

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// cell is one cell of the guide's table: what an operation makes of a run strategy. An empty To means refused.
type cell struct {
	From      v1beta1.RunStrategy
	Operation string
	To        v1beta1.RunStrategy
	// Running says whether the machine has to run before the operation makes sense.
	Running bool
	// Then is the status that the machine ends up with.
	Then v1beta1.PrintableStatus
}

// table is the guide's table, written down once more, so that a change of the product's own table is noticed.
func table() []cell {
	const (
		always, rerun, manual, halted = v1beta1.RunStrategyAlways, v1beta1.RunStrategyRerunOnFailure, v1beta1.RunStrategyManual, v1beta1.RunStrategyHalted
		running, stopped              = v1beta1.StatusRunning, v1beta1.StatusStopped
	)
	return []cell{
		{From: always, Operation: "start", Running: true, Then: running},
		{From: always, Operation: "stop", To: halted, Running: true, Then: stopped},
		{From: always, Operation: "restart", To: always, Running: true, Then: running},
		{From: rerun, Operation: "start", To: rerun, Running: false, Then: running},
		{From: rerun, Operation: "stop", To: halted, Running: true, Then: stopped},
		{From: rerun, Operation: "restart", To: rerun, Running: true, Then: running},
		{From: manual, Operation: "start", To: manual, Running: false, Then: running},
		{From: manual, Operation: "stop", To: manual, Running: true, Then: stopped},
		{From: manual, Operation: "restart", To: manual, Running: true, Then: running},
		{From: halted, Operation: "start", To: always, Running: false, Then: running},
		{From: halted, Operation: "stop", Running: false, Then: stopped},
		{From: halted, Operation: "restart", Running: false, Then: stopped},
	}
}

// caller performs an operation and returns the HTTP status.
type caller func(t *testing.T, e *framework.Environment, name, operation string) int

func TestTheTableOfRunStrategies(t *testing.T) {
	t.Parallel()
	for via, call := range map[string]caller{"curl with a token": callWithCurl, "kubectl create --raw": callWithKubectl} {
		for _, cell := range table() {
			t.Run(string(cell.From)+" "+cell.Operation+" by "+via, func(t *testing.T) {
				t.Parallel()
				testCell(t, framework.New(t), cell, call)
			})
		}
	}
}

func testCell(t *testing.T, e *framework.Environment, cell cell, call caller) {
	const name = "machine"
	e.Create(framework.Minimal(name, framework.WithStrategy(cell.From)))
	machine := bringTo(e, name, cell)
	before := instanceUID(e, machine)

	code := call(t, e, name, cell.Operation)
	if cell.To == "" {
		assert.Equal(t, http.StatusConflict, code)
		assert.Equal(t, cell.From, e.Get(name).Status.RunStrategy, "a refused operation changes nothing")
		assert.Equal(t, before, instanceUID(e, machine))
		return
	}
	assert.Less(t, code, http.StatusMultipleChoices)
	assert.Equal(t, cell.To, e.Get(name).Status.RunStrategy, "the new strategy is there when the answer is")
	if cell.Operation == "restart" {
		e.Wait(name, "runs in another instance", func(vs *v1beta1.VirtualServer) string {
			if vs.Status.VM.InstanceUID == "" || string(vs.Status.VM.InstanceUID) == before {
				return "still the old instance"
			}
			return ""
		})
	}
	vs := e.WaitSettled(name, cell.Then)
	assert.Equal(t, cell.To, vs.Status.RunStrategy)
	require.NotEmpty(t, vs.Status.Operations)
	assert.Equal(t, v1beta1.OperationSucceeded, vs.Status.Operations[0].Result)
	assert.NotEmpty(t, vs.Status.Operations[0].RequestedBy)
}

// bringTo brings a new machine to the state in which the cell's operation makes sense.
func bringTo(e *framework.Environment, name string, cell cell) string {
	machine := e.MachineName(name)
	switch {
	case cell.From == v1beta1.RunStrategyManual && cell.Running:
		e.WaitStatus(name, v1beta1.StatusStopped)
		e.MustOperate(name, "start")
		e.WaitSettled(name, v1beta1.StatusRunning)
	case cell.From == v1beta1.RunStrategyRerunOnFailure && !cell.Running:
		e.WaitStatus(name, v1beta1.StatusRunning)
		e.GuestFault(machine, "shutdown")
		e.WaitStatus(name, v1beta1.StatusStopped)
	case cell.Running:
		e.WaitStatus(name, v1beta1.StatusRunning)
	default:
		e.WaitStatus(name, v1beta1.StatusStopped)
	}
	return machine
}

func instanceUID(e *framework.Environment, machine string) string {
	if instance := e.Instance(machine); instance != nil {
		return string(instance.UID)
	}
	return ""
}

// callWithCurl sends what "curl -X POST -H 'Authorization: Bearer …'" sends, as a user in the ClusterRole edit.
func callWithCurl(t *testing.T, e *framework.Environment, name, operation string) int {
	user := e.UserInRole("operator", "edit")
	transport, err := rest.TransportFor(user.Config)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(e.Context, http.MethodPost,
		user.Config.Host+framework.Path(e.Namespace)+"/"+name+"/"+operation, bytes.NewReader(nil))
	require.NoError(t, err)
	response, err := (&http.Client{Transport: transport}).Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	t.Logf("%s: %s", response.Status, body)
	return response.StatusCode
}

func callWithKubectl(t *testing.T, e *framework.Environment, name, operation string) int {
	result := e.Kubectl("create", "--raw", framework.Path(e.Namespace)+"/"+name+"/"+operation, "-f", "/dev/null")
	if result.Err == nil {
		return http.StatusOK
	}
	assert.Contains(t, result.Stderr, "Conflict", "a refusal says so")
	return http.StatusConflict
}

func TestPutWorksLikePost(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine", framework.WithStrategy(v1beta1.RunStrategyHalted)))
	e.WaitStatus("machine", v1beta1.StatusStopped)
	client := e.VirtualServers.TensorstackV1beta1().RESTClient()
	require.NoError(t, client.Put().AbsPath(framework.Path(e.Namespace), "machine", "start").Do(e.Context).Error())
	assert.Equal(t, v1beta1.RunStrategyAlways, e.WaitSettled("machine", v1beta1.StatusRunning).Status.RunStrategy)
}

func TestStartPaused(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine", framework.WithStrategy(v1beta1.RunStrategyHalted)))
	e.WaitStatus("machine", v1beta1.StatusStopped)
	_, err := e.Operate("machine", "start", `{"paused":true}`)
	require.NoError(t, err)
	vs := e.WaitSettled("machine", v1beta1.StatusPaused)
	assert.Equal(t, metav1.ConditionTrue, findCondition(vs, v1beta1.ConditionPaused).Status)
}

func TestDryRunChangesNothing(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	e.WaitStatus("machine", v1beta1.StatusRunning)
	before := e.WaitSettled("machine", v1beta1.StatusRunning)
	_, err := e.Operate("machine", "stop", `{"dryRun":["All"]}`)
	require.NoError(t, err)
	after := e.Get("machine")
	assert.Equal(t, v1beta1.RunStrategyAlways, after.Status.RunStrategy)
	assert.Nil(t, after.Status.PendingOperation)
	assert.Equal(t, before.Status.Operations, after.Status.Operations)
	assert.Equal(t, before.Status.VM, after.Status.VM)
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	for name, test := range map[string]struct {
		operation, body string
		code            int
	}{
		"not JSON":                         {"stop", `{`, http.StatusBadRequest},
		"a negative grace period":          {"stop", `{"gracePeriodSeconds":-1}`, http.StatusUnprocessableEntity},
		"a restart with a grace period":    {"restart", `{"gracePeriodSeconds":30}`, http.StatusUnprocessableEntity},
		"a dry run of something":           {"stop", `{"dryRun":["Some"]}`, http.StatusUnprocessableEntity},
		"an operation that does not exist": {"explode", ``, http.StatusNotFound},
	} {
		code, err := e.Operate("machine", test.operation, test.body)
		assert.Error(t, err, name)
		assert.Equal(t, test.code, code, "%s: %v", name, err)
	}
}
