package virtualserver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

func TestDecideDeletion(t *testing.T) {
	there, going := presence{present: true}, presence{present: true, deleting: true}
	for _, test := range []struct {
		name string
		left remains
		want deletionStep
	}{
		{"everything is there", remains{machine: there, instance: there, service: there, secret: there, volume: there, claim: there}, stepDeleteMachine},
		{"the machine shuts down", remains{machine: going, instance: going, service: there, secret: there, volume: there, claim: there}, stepWaitMachine},
		{"the instance is left", remains{instance: going, service: there, volume: there, claim: there}, stepWaitInstance},
		{"an instance without a machine", remains{instance: there, volume: there}, stepDeleteInstance},
		{"the service", remains{service: there, secret: there, volume: there, claim: there}, stepDeleteService},
		{"the service is kept by somebody", remains{service: going, secret: there}, stepWaitService},
		{"the secret", remains{secret: there, volume: there, claim: there}, stepDeleteSecret},
		{"the secret is kept by somebody", remains{secret: going, volume: there}, stepWaitSecret},
		{"the disk", remains{volume: there, claim: there}, stepDeleteVolume},
		{"the disk is going", remains{volume: going, claim: going}, stepWaitVolume},
		{"the claim is left", remains{claim: there}, stepDeleteClaim},
		{"the claim is in use", remains{claim: going}, stepWaitClaim},
		{"nothing is left", remains{}, stepFinish},
		{"retain: the machine first", remains{machine: there, volume: there, claim: there, retain: true}, stepDeleteMachine},
		{"retain: the claim is released", remains{volume: there, claim: there, retain: true}, stepRelease},
		{"retain: the claim is no longer ours", remains{volume: there, retain: true}, stepOrphanVolume},
		{"retain: the volume is going", remains{volume: going, retain: true}, stepWaitVolume},
		{"retain: a claim that somebody deletes", remains{volume: there, claim: going, retain: true}, stepOrphanVolume},
		{"retain: nothing is left", remains{claim: going, retain: true}, stepFinish},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, decideDeletion(test.left))
		})
	}
}

func TestPresenceOfNothing(t *testing.T) {
	var secret *corev1.Secret
	assert.Equal(t, presence{}, presenceOf(secret))
}

func TestReleasedClaimIsForeign(t *testing.T) {
	vs := &v1beta1.VirtualServer{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "1"}}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Labels:          map[string]string{"theirs": "stays"},
		Annotations:     map[string]string{translate.AnnotationName: "web"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "Tenant", Name: "theirs"}, {Kind: "DataVolume", Name: "x"}},
	}}
	for key, value := range translate.Labels(vs) {
		claim.Labels[key] = value
	}
	assert.Equal(t, owned, ownershipOf(claim, vs))

	release(claim, vs)

	assert.Equal(t, foreign, ownershipOf(claim, vs))
	assert.Equal(t, map[string]string{"theirs": "stays", labelRetainedFrom: "web"}, claim.Labels)
	assert.Equal(t, []metav1.OwnerReference{{Kind: "Tenant", Name: "theirs"}}, claim.OwnerReferences, "nothing takes it along")
	again := &v1beta1.VirtualServer{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "2"}}
	assert.Equal(t, foreign, ownershipOf(claim, again), "a new VirtualServer of the name does not take it")
}

func TestForeignFinalizers(t *testing.T) {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Finalizers: []string{
		protectedClaim, "cdi.kubevirt.io/dataVolumeFinalizer", "orphan", "backup.example.com/keep",
	}}}
	text := foreignFinalizers(claim)
	assert.Contains(t, text, "backup.example.com/keep")
	assert.NotContains(t, text, protectedClaim)
	assert.NotContains(t, text, "orphan")
	claim.Finalizers = claim.Finalizers[:3]
	assert.Empty(t, foreignFinalizers(claim))
}
