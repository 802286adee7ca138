package integration

import (
	"context"
	"fmt"
	"time"

	"github.com/stretchr/testify/assert"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// cleanUp deletes an object of the cluster when the test ends.
func cleanUp(e *framework.Environment, name string, remove func(context.Context, string, metav1.DeleteOptions) error) {
	e.T.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		assert.NoError(e.T, remove(ctx, name, metav1.DeleteOptions{}), "delete %s", name)
	})
}

// dryRun creates a VirtualServer as far as admission goes. Nothing comes of it.
func dryRun(e *framework.Environment, vs *v1beta1.VirtualServer) (*v1beta1.VirtualServer, error) {
	return e.Client().Create(e.Context, vs, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// untilRefused waits until the server has heard of a rule, which it does by watching. A webhook that cannot be asked refuses by
// an internal error.
func untilRefused(e *framework.Environment, vs *v1beta1.VirtualServer) error {
	e.T.Helper()
	var refusal error
	e.Eventually("the rule is in force", func() error {
		switch _, refusal = dryRun(e, vs); {
		case refusal == nil:
			return fmt.Errorf("%s is accepted", vs.Name)
		case apierrors.IsForbidden(refusal), apierrors.IsInvalid(refusal), apierrors.IsBadRequest(refusal),
			apierrors.IsInternalError(refusal):
			return nil
		default:
			return refusal
		}
	})
	return refusal
}

// halted is a VirtualServer whose machine does not start.
func halted(name string, edits ...func(*v1beta1.VirtualServer)) *v1beta1.VirtualServer {
	return framework.Minimal(name, append([]func(*v1beta1.VirtualServer){framework.WithStrategy(v1beta1.RunStrategyHalted)}, edits...)...)
}

func labelled(key, value string) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) { vs.Labels = map[string]string{key: value} }
}
