package integration

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func findCondition(vs *v1beta1.VirtualServer, conditionType string) *metav1.Condition {
	return meta.FindStatusCondition(vs.Status.Conditions, conditionType)
}

func errMissing(what string) error { return fmt.Errorf("%s is missing", what) }
