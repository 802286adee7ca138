package virtualserver

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/status"
)

// Reasons of the condition Reconciled.
const (
	reasonReconciled  = "Reconciled"
	reasonRefused     = "Refused"
	reasonForbidden   = "Forbidden"
	reasonQuota       = "QuotaExceeded"
	reasonUnavailable = "Unavailable"
	reasonMissing     = "NotInstalled"
	reasonFailed      = "Failed"
	reasonDiskDeleted = "DiskDeleted"
	// reasonImportingAgain is not a failure: it is what an edit of a disk leads to that was not imported yet.
	reasonImportingAgain = "ImportingAgain"
)

// isProgress says that a reason of Reconciled=False tells what is going on, and not what went wrong.
func isProgress(reason string) bool {
	return reason == reasonDeleting || reason == reasonImportingAgain
}

// problem is something that keeps the objects behind a VirtualServer from what they should be. Its message is for the
// user and says what to do.
type problem struct {
	reason, message string
}

// Error implements error.
func (p *problem) Error() string {
	return p.message
}

// failed wraps the error of a write with what was being done, such as "create VirtualMachine x".
func failed(doing string, err error) error {
	if err == nil || errors.Is(err, errStale) || errors.Is(err, errUnseen) || errors.Is(err, errNameTaken) ||
		errors.Is(err, errNotAtHome) {
		return err
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func isConflict(err error) bool {
	return err != nil && apierrors.IsConflict(err)
}

// problemOf turns an error into what the user sees.
func problemOf(err error) *problem {
	var known *problem
	if errors.As(err, &known) {
		return known
	}
	err = first(err)
	message := withAdvice(err)
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return &problem{reason: reasonFailed, message: message}
	}
	switch {
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return &problem{reason: reasonQuota, message: message}
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return &problem{reason: reasonForbidden, message: "The namespace is being deleted."}
	case apierrors.IsForbidden(err):
		return &problem{reason: reasonForbidden, message: message}
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return &problem{reason: reasonRefused, message: message}
	case isKindMissing(err):
		return &problem{reason: reasonMissing, message: message}
	case apierrors.IsServiceUnavailable(err), apierrors.IsTimeout(err), apierrors.IsServerTimeout(err),
		apierrors.IsTooManyRequests(err), apierrors.IsInternalError(err):
		return &problem{reason: reasonUnavailable, message: message}
	default:
		return &problem{reason: reasonFailed, message: message}
	}
}

// first returns the first of several errors that were joined.
func first(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	for _, part := range joined.Unwrap() {
		if part != nil {
			return first(part)
		}
	}
	return err
}

// isKindMissing tells a kind that the server does not know from an object that does not exist.
func isKindMissing(err error) bool {
	var answer apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &answer) {
		return false
	}
	details := answer.Status().Details
	return details == nil || details.Name == "" || hasCause(details, metav1.CauseTypeUnexpectedServerResponse)
}

func hasCause(details *metav1.StatusDetails, cause metav1.CauseType) bool {
	for _, c := range details.Causes {
		if c.Type == cause {
			return true
		}
	}
	return false
}

// hints are pieces of the messages of KubeVirt, CDI and Kubernetes, and what the user can do about each. The pieces come
// from KubeVirt's pkg/virt-api/webhooks, CDI's pkg/apiserver/webhooks and Kubernetes' admission plugins.
var hints = []struct{ piece, hint string }{
	{"could not find the requested resource", "KubeVirt or CDI is not installed in this cluster."},
	{"failed calling webhook", "A webhook of KubeVirt or CDI does not answer. It is tried again."},
	{"exceeded quota", "Ask for less, free something in this namespace, or ask an administrator for more quota."},
	{"virtiofs feature gate is not enabled for config volumes", "Ask an administrator to enable KubeVirt's feature gate " +
		"EnableVirtioFsConfigVolumes, or attach the volume under spec.storage.additionalDisks."},
	{"virtiofs feature gate is not enabled", "Ask an administrator to enable KubeVirt's feature gate " +
		"EnableVirtioFsStorageVolumes, or attach the volume under spec.storage.additionalDisks."},
	{"domain.cpu.model", "Look at spec.resources.cpu.model."},
	{"domain.cpu", "Look at spec.resources.cpu."},
	{"domain.memory", "Look at spec.resources.memory."},
	{"domain.resources", "Look at spec.resources."},
	{"devices.gpus", "Look at spec.resources.gpu."},
	{"devices.filesystems", "Look at spec.storage.filesystems."},
	{"devices.disks", "Look at spec.storage.additionalDisks."},
	{"devices.interfaces", "Look at spec.network."},
	{"dnsConfig", "Look at spec.network.dnsConfig."},
	{"dnsPolicy", "Look at spec.network.dnsPolicy."},
	{"spec.volumes", "Look at spec.storage."},
	{"DataVolume", "Look at spec.storage.root."},
	{"only dynamically provisioned pvc can be resized", "The StorageClass of the root disk does not allow it to grow. " +
		"Set spec.storage.root.pvc.size back, or use a StorageClass with allowVolumeExpansion."},
}

// withAdvice returns the words of an error on one line, without the secrets of the URLs in them, and after them what the
// user can do about it.
func withAdvice(err error) string {
	message := status.OneLine(err.Error())
	// What was being done, such as to create a DataVolume, says nothing of what is wrong with it.
	said := err.Error()
	var answer apierrors.APIStatus
	if errors.As(err, &answer) {
		said = answer.Status().Message
	}
	for _, h := range hints {
		if !strings.Contains(said, h.piece) {
			continue
		}
		if !strings.HasSuffix(message, ".") {
			message += "."
		}
		return message + " " + h.hint
	}
	return message
}
