package framework

import (
	"fmt"
	"net/http"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	clientv1beta1 "tensorstack.dev/virtualserver/pkg/generated/clientset/versioned/typed/tensorstack/v1beta1"
)

// Path is the API path of the VirtualServers of a namespace.
func Path(namespace string) string {
	return "/apis/tensorstack.dev/v1beta1/namespaces/" + namespace + "/virtualservers"
}

// Minimal is a VirtualServer with a small root disk and nothing else.
func Minimal(name string, edits ...func(*v1beta1.VirtualServer)) *v1beta1.VirtualServer {
	vs := &v1beta1.VirtualServer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1beta1.VirtualServerSpec{
			Resources: v1beta1.Resources{
				CPU:    v1beta1.CPU{Cores: intstr.FromInt32(1)},
				Memory: resource.MustParse("1Gi"),
			},
			Storage: v1beta1.Storage{Root: v1beta1.RootDisk{
				PVC: v1beta1.RootDiskClaim{
					Size:        resource.MustParse("1Gi"),
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				},
				Source: cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: "https://images.example.com/disk.img"}},
			}},
		},
	}
	for _, edit := range edits {
		edit(vs)
	}
	return vs
}

// WithStrategy sets the run strategy.
func WithStrategy(strategy v1beta1.RunStrategy) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) { vs.Spec.RunStrategy = strategy }
}

// Client is the client of the test's own VirtualServers.
func (e *Environment) Client() clientv1beta1.VirtualServerInterface {
	return e.VirtualServers.TensorstackV1beta1().VirtualServers(e.Namespace)
}

// Create creates a VirtualServer.
func (e *Environment) Create(vs *v1beta1.VirtualServer) *v1beta1.VirtualServer {
	e.T.Helper()
	created, err := e.Client().Create(e.Context, vs, metav1.CreateOptions{})
	require.NoError(e.T, err)
	return created
}

// Get reads a VirtualServer.
func (e *Environment) Get(name string) *v1beta1.VirtualServer {
	e.T.Helper()
	vs, err := e.Client().Get(e.Context, name, metav1.GetOptions{})
	require.NoError(e.T, err)
	return vs
}

// Wait waits until a VirtualServer satisfies check, which returns "" or what is missing, and returns it.
func (e *Environment) Wait(name, what string, check func(*v1beta1.VirtualServer) string) *v1beta1.VirtualServer {
	e.T.Helper()
	return e.WaitFor(DefaultTimeout, name, what, check)
}

// WaitFor is Wait with a limit of its own.
func (e *Environment) WaitFor(limit time.Duration, name, what string, check func(*v1beta1.VirtualServer) string) *v1beta1.VirtualServer {
	e.T.Helper()
	var last *v1beta1.VirtualServer
	e.Within(limit, fmt.Sprintf("VirtualServer %s/%s: %s", e.Namespace, name, what), func() error {
		vs, err := e.Client().Get(e.Context, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		last = vs
		if missing := check(vs); missing != "" {
			return fmt.Errorf("%s; status is %s, strategy %s, message %q, conditions %s", missing,
				vs.Status.PrintableStatus, vs.Status.RunStrategy, vs.Status.Message, describeConditions(vs))
		}
		return nil
	})
	return last
}

// WaitStatus waits for a printableStatus.
func (e *Environment) WaitStatus(name string, want v1beta1.PrintableStatus) *v1beta1.VirtualServer {
	e.T.Helper()
	return e.Wait(name, "has status "+string(want), func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != want {
			return "not " + string(want)
		}
		return unprepared(vs)
	})
}

// unprepared says why a machine that is Stopped cannot be started at once: its disk is still being imported. Tests that wait for
// Stopped want one that can.
func unprepared(vs *v1beta1.VirtualServer) string {
	imported := meta.FindStatusCondition(vs.Status.Conditions, v1beta1.ConditionDataImported)
	if vs.Status.PrintableStatus != v1beta1.StatusStopped || imported == nil || imported.Status == metav1.ConditionTrue {
		return ""
	}
	switch imported.Reason {
	case "WaitForFirstConsumer", "PendingPopulation":
		return ""
	}
	return "its disk is not imported: " + imported.Reason
}

// WaitSettled waits for a printableStatus with no operation pending.
func (e *Environment) WaitSettled(name string, want v1beta1.PrintableStatus) *v1beta1.VirtualServer {
	e.T.Helper()
	return e.Wait(name, "has status "+string(want)+" and no pending operation", func(vs *v1beta1.VirtualServer) string {
		switch {
		case vs.Status.PrintableStatus != want:
			return "not " + string(want)
		case vs.Status.PendingOperation != nil:
			return fmt.Sprintf("%s is pending", vs.Status.PendingOperation.Type)
		}
		return unprepared(vs)
	})
}

// WaitAgent waits until the guest agent of the machine's present run has answered.
func (e *Environment) WaitAgent(name string) *v1beta1.VirtualServer {
	e.T.Helper()
	return e.Wait(name, "has a guest agent that answers", func(vs *v1beta1.VirtualServer) string {
		if agent := vs.Status.GuestAgent; agent == nil || agent.InstanceUID != vs.Status.VM.InstanceUID {
			return "the guest agent has not answered"
		}
		return ""
	})
}

// WaitCondition waits for a condition to have a status.
func (e *Environment) WaitCondition(name, conditionType string, want metav1.ConditionStatus) *v1beta1.VirtualServer {
	e.T.Helper()
	return e.Wait(name, fmt.Sprintf("has condition %s=%s", conditionType, want), func(vs *v1beta1.VirtualServer) string {
		condition := meta.FindStatusCondition(vs.Status.Conditions, conditionType)
		if condition == nil || condition.Status != want {
			return fmt.Sprintf("condition %s is not %s", conditionType, want)
		}
		return ""
	})
}

// Operate posts an operation with an optional JSON body as an administrator, and returns the HTTP status and the error.
func (e *Environment) Operate(name, operation, body string) (int, error) {
	e.T.Helper()
	code := 0
	request := e.VirtualServers.TensorstackV1beta1().RESTClient().Post().AbsPath(Path(e.Namespace), name, operation)
	if body != "" {
		request = request.SetHeader("Content-Type", "application/json").Body([]byte(body))
	}
	err := request.Do(e.Context).StatusCode(&code).Error()
	return code, err
}

// MustOperate posts an operation that must be accepted.
func (e *Environment) MustOperate(name, operation string) {
	e.T.Helper()
	code, err := e.Operate(name, operation, "")
	require.NoError(e.T, err, "%s %s", operation, name)
	require.Less(e.T, code, http.StatusMultipleChoices)
}

func describeConditions(vs *v1beta1.VirtualServer) string {
	text := ""
	for _, condition := range vs.Status.Conditions {
		text += fmt.Sprintf("[%s=%s %s %q]", condition.Type, condition.Status, condition.Reason, condition.Message)
	}
	return text
}
