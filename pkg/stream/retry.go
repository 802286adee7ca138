package stream

import (
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// retrySeconds is when a client may repeat what failed for a moment. It becomes the header Retry-After.
const retrySeconds = 1

// unavailable is a 503 for something that passes by itself.
func unavailable(message string) error {
	return retryLater(apierrors.NewServiceUnavailable(message))
}

// retryLater adds to a 503 when to try again. Other errors pass.
func retryLater(err error) error {
	return withRetrySeconds(err, http.StatusServiceUnavailable, http.StatusServiceUnavailable, retrySeconds)
}

// neverRetry is for what changes a machine. client-go repeats a request, whatever its verb, if the server failed and named a
// time; but one that failed on its way back has been carried out. Source: checkWait in k8s.io/client-go/rest/request.go.
func neverRetry(err error) error {
	return withRetrySeconds(err, http.StatusInternalServerError, 599, 0)
}

// withRetrySeconds sets the seconds of an error whose code is in a range.
func withRetrySeconds(err error, from, to, seconds int32) error {
	var known *apierrors.StatusError
	if !errors.As(err, &known) || known.ErrStatus.Code < from || known.ErrStatus.Code > to {
		return err
	}
	changed := apierrors.StatusError{ErrStatus: *known.ErrStatus.DeepCopy()}
	if changed.ErrStatus.Details == nil && seconds == 0 {
		return err
	}
	if changed.ErrStatus.Details == nil {
		changed.ErrStatus.Details = &metav1.StatusDetails{}
	}
	changed.ErrStatus.Details.RetryAfterSeconds = seconds
	return &changed
}
