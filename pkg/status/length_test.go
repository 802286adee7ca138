package status

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Kubernetes refuses a condition with a message of more than 32 KiB, and with it the whole status.
func TestConditionsOfTheLargestMachineAreValid(t *testing.T) {
	s := newScene(t, "Always")
	s.instance(firstUID, kubevirtv1.Running)
	for i := range 256 {
		disk := v1beta1.AdditionalDisk{Name: fmt.Sprintf("%s-%d", strings.Repeat("d", 50), i)}
		disk.PersistentVolumeClaim = &v1beta1.PersistentVolumeClaimSource{ClaimName: fmt.Sprintf("%s-%d", strings.Repeat("c", 240), i)}
		s.VirtualServer.Spec.Storage.AdditionalDisks = append(s.VirtualServer.Spec.Storage.AdditionalDisks, disk)
	}
	s.desire()
	derived := s.derive()
	assert.Empty(t, metav1validation.ValidateConditions(derived.Conditions, field.NewPath("conditions")))
	waiting := condition(t, derived, "RestartRequired")
	require.Equal(t, "True", string(waiting.Status))
	assert.Less(t, len(waiting.Message), 5000, "a person reads it")
	assert.Regexp(t, `; and \d+ more$`, waiting.Message)
	assert.Contains(t, waiting.Message, "additionalDisks[")
}
