package integration

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

func findCondition(vs *v1beta1.VirtualServer, conditionType string) *metav1.Condition {
	return meta.FindStatusCondition(vs.Status.Conditions, conditionType)
}

func errMissing(what string) error { return fmt.Errorf("%s is missing", what) }

// createRunning creates the VirtualServer "machine" and brings it to Running, which Manual does not do by itself.
func createRunning(e *framework.Environment, strategy v1beta1.RunStrategy) *v1beta1.VirtualServer {
	e.T.Helper()
	e.Create(framework.Minimal("machine", framework.WithStrategy(strategy)))
	if strategy == v1beta1.RunStrategyManual {
		e.WaitStatus("machine", v1beta1.StatusStopped)
		e.MustOperate("machine", "start")
	}
	return e.WaitSettled("machine", v1beta1.StatusRunning)
}
