package virtualserver

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func terminating() error {
	err := apierrors.NewForbidden(corev1.Resource("secrets"), "x", errors.New("unable to create new content"))
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	return err
}

func TestProblemOf(t *testing.T) {
	vms := kubevirtv1.Resource("virtualmachines")
	denied := func(text string) error {
		return apierrors.NewBadRequest(`admission webhook "virtualmachine-validator.kubevirt.io" denied the request: ` + text)
	}
	for _, test := range []struct {
		name   string
		err    error
		reason string
		text   string
	}{
		{"a gate of KubeVirt", denied("virtiofs is not allowed: virtiofs feature gate is not enabled for PVC"), reasonRefused, "EnableVirtioFsStorageVolumes"},
		{"another gate", denied("virtiofs is not allowed: virtiofs feature gate is not enabled for config volumes"), reasonRefused, "EnableVirtioFsConfigVolumes"},
		{"a field of KubeVirt", denied("spec.template.spec.domain.devices.disks[1] is wrong"), reasonRefused, "spec.storage.additionalDisks"},
		{"quota", apierrors.NewForbidden(vms, "x", errors.New("exceeded quota: q")), reasonQuota, "more quota"},
		{"quota for what is created here", fmt.Errorf("create DataVolume x: %w", apierrors.NewForbidden(vms, "x", errors.New("exceeded quota: q"))),
			reasonQuota, "more quota"},
		{"a refusal by CDI", fmt.Errorf("create DataVolume x: %w", apierrors.NewBadRequest("DataVolume source is wrong")), reasonRefused, "Look at spec.storage.root."},
		{"no right", apierrors.NewForbidden(vms, "x", errors.New("no")), reasonForbidden, "no"},
		{"the namespace ends", terminating(), reasonForbidden, "The namespace is being deleted."},
		{"CDI is not installed", fmt.Errorf("create DataVolume x: %w",
			apierrors.NewGenericServerResponse(404, "POST", vms, "", "the server could not find the requested resource", 0, true)),
			reasonMissing, "not installed"},
		{"a webhook is down", apierrors.NewInternalError(errors.New(`failed calling webhook "x"`)), reasonUnavailable, "It is tried again."},
		{"something else", errors.New("odd"), reasonFailed, "odd"},
		{"a long story", denied("spec.domain.cpu: " + strings.Repeat("word ", 200)), reasonRefused, "... Look at spec.resources.cpu."},
		{"the first of several", errors.Join(nil, fmt.Errorf("create A: %w", denied("dnsPolicy is wrong")), errors.New("later")), reasonRefused, "spec.network.dnsPolicy"},
		{"one of our own", fmt.Errorf("wrapped: %w", &problem{reason: "NameTaken", message: "rename it"}), "NameTaken", "rename it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			result := problemOf(test.err)
			assert.Equal(t, test.reason, result.reason)
			assert.Contains(t, result.message, test.text)
			assert.NotContains(t, result.message, "later")
		})
	}
}

// Only what the server says counts, not what was asked of it.
func TestNoAdviceFromWhatWasBeingDone(t *testing.T) {
	for _, doing := range []string{"create DataVolume x", "update DataVolume x", "delete DataVolume x", "mark DataVolume x", "read DataVolume x"} {
		refusal := apierrors.NewForbidden(kubevirtv1.Resource("datavolumes"), "x", errors.New("no"))
		assert.NotContains(t, problemOf(fmt.Errorf("%s: %w", doing, refusal)).message, "Look at")
	}
}

// A URL in spec may carry credentials, and KubeVirt and CDI put it into their refusals.
func TestSecretsOfURLsStayOut(t *testing.T) {
	const told = "https://user:hunter2@images/a.img?X-Signature=hunter2"
	b := newBench(t, testServer())
	b.kubevirt.fail = func(string) error { return apierrors.NewBadRequest("no import from " + told) }
	_, events, err := b.pass("web")
	require.Error(t, err)
	vs := b.server("web")
	condition := meta.FindStatusCondition(vs.Status.Conditions, v1beta1.ConditionReconciled)
	require.NotNil(t, condition)
	assert.Contains(t, condition.Message, "https://***@images/a.img?***")
	assert.NotContains(t, vs.Status.Message+condition.Message+strings.Join(events, " "), "hunter2")
	assert.Contains(t, strings.Join(events, " "), "ReconcileFailed")
	assert.NotContains(t, plain(apierrors.NewConflict(kubevirtv1.Resource("virtualmachines"), "x", errors.New(told))), "hunter2")
}

func TestEndOfTheNamespaceIsNotTriedAgain(t *testing.T) {
	b := newBench(t, testServer())
	b.kubevirt.fail = func(string) error { return terminating() }
	result, _, err := b.pass("web")
	assert.NoError(t, err)
	assert.Equal(t, outcome{again: terminatingDelay}, result)
}
