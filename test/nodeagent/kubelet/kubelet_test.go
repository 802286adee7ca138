package kubelet

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLogs(t *testing.T) {
	began := metav1.NewTime(time.Now().Add(-time.Minute).Truncate(time.Second))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{"vm.kubevirt.io/name": "m"}}}
	pod.Status.InitContainerStatuses = []corev1.ContainerStatus{
		{Name: consoleContainer, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: began}}}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{
		{Name: "compute", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: began}}},
		{Name: "late", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}}
	handler := routes(func(_, name string) *corev1.Pod {
		if name == "p" {
			return pod
		}
		return nil
	})
	stamp := began.UTC().Format(time.RFC3339Nano)
	for path, want := range map[string]struct {
		code int
		body string
	}{
		"p/guest-console-log":                               {200, "Simulated guest of the VirtualServer node agent, m ttyS0\n\nlogin: \n"},
		"p/guest-console-log?tailLines=1":                   {200, "login: \n"},
		"p/guest-console-log?tailLines=0":                   {200, ""},
		"p/guest-console-log?tailLines=9&sinceSeconds=5":    {200, ""},
		"p/guest-console-log?tailLines=1&sinceSeconds=3600": {200, "login: \n"},
		"p/guest-console-log?tailLines=1&timestamps=true":   {200, stamp + " login: \n"},
		"p/compute": {200, ""},
		"p/late":    {400, "container \"late\" in pod \"p\" is waiting to start\n"},
		"p/none":    {400, "container \"none\" in pod \"p\" is waiting to start\n"},
		"q/compute": {404, "the pod is not on this node\n"},
	} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/containerLogs/ns/"+path, nil))
		assert.Equal(t, want.code, answer.Code, path)
		assert.Equal(t, want.body, answer.Body.String(), path)
	}
}
