package storage

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// claimed is what a user would like a VirtualServer to belong to.
const claimed = types.UID("somebody-else's")

func claiming(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
	vs := old.DeepCopyObject().(*tensorstack.VirtualServer)
	vs.Status.NamespaceUID = claimed
	return vs, nil
}

// Every way to create a VirtualServer asks for the namespace, and no way to create or change one lets the user say which.
func TestNobodyWritesWhatAVirtualServerBelongsTo(t *testing.T) {
	all := rest.ValidateAllObjectFunc
	create := func(f *fixture, name string, options *metav1.CreateOptions) (runtime.Object, error) {
		vs := newServer(name, v1beta1.RunStrategyHalted)
		vs.Status.NamespaceUID = claimed
		return f.VirtualServer.Create(f.ctx, vs, all, options)
	}
	apply := func(f *fixture, name string, options *metav1.UpdateOptions) (runtime.Object, error) {
		vs := newServer(name, v1beta1.RunStrategyHalted)
		vs.Status.NamespaceUID = claimed
		// As the handler of patches does for server-side apply.
		written, _, err := f.VirtualServer.Update(f.ctx, name, rest.DefaultUpdatedObjectInfo(vs), all,
			rest.ValidateAllObjectUpdateFunc, true, options)
		return written, err
	}
	for name, write := range map[string]func(*fixture) (runtime.Object, error){
		"create": func(f *fixture) (runtime.Object, error) { return create(f, "new", &metav1.CreateOptions{}) },
		"create in a dry run": func(f *fixture) (runtime.Object, error) {
			return create(f, "new", &metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		},
		"apply": func(f *fixture) (runtime.Object, error) { return apply(f, "new", &metav1.UpdateOptions{}) },
		"apply in a dry run": func(f *fixture) (runtime.Object, error) {
			return apply(f, "new", &metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		},
		"update": func(f *fixture) (runtime.Object, error) {
			written, _, err := f.VirtualServer.Update(f.ctx, "there", rest.DefaultUpdatedObjectInfo(nil, claiming), nil,
				rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
			return written, err
		},
		"update of the run strategy": func(f *fixture) (runtime.Object, error) {
			written, _, err := f.VirtualServer.Update(f.ctx, "there", rest.DefaultUpdatedObjectInfo(nil,
				func(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
					obj, err := claiming(ctx, obj, old)
					obj.(*tensorstack.VirtualServer).Spec.RunStrategy = tensorstack.RunStrategyManual
					return obj, err
				}), nil, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
			return written, err
		},
		"update of the status": func(f *fixture) (runtime.Object, error) {
			written, _, err := f.Status.Update(f.ctx, "there", rest.DefaultUpdatedObjectInfo(nil, claiming), nil,
				rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
			return written, err
		},
		"status without it": func(f *fixture) (runtime.Object, error) {
			written, _, err := f.Status.Update(f.ctx, "there", rest.DefaultUpdatedObjectInfo(nil,
				func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
					vs := old.DeepCopyObject().(*tensorstack.VirtualServer)
					vs.Status.NamespaceUID = ""
					return vs, nil
				}), nil, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
			return written, err
		},
		"start": func(f *fixture) (runtime.Object, error) {
			return f.Start.Create(f.ctx, "there", &tensorstack.StartOptions{}, nil, &metav1.CreateOptions{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.create(t, "there", v1beta1.RunStrategyHalted)
			written, err := write(f)
			require.NoError(t, err)
			assert.Equal(t, "uid-of-ns", string(written.(*tensorstack.VirtualServer).Status.NamespaceUID))
		})
	}
}

// Without the namespace there is no VirtualServer.
func TestCreateNeedsTheNamespace(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func(*fakeNamespaces)
		code int32
	}{
		{"it does not exist", func(n *fakeNamespaces) { delete(n.uids, "ns") }, http.StatusNotFound},
		{"it cannot be read", func(n *fakeNamespaces) { n.err = errors.New("connection refused") }, http.StatusServiceUnavailable},
		{"nobody may read it", func(n *fakeNamespaces) { n.err = apierrors.NewForbidden(v1beta1.Resource("x"), "ns", nil) }, http.StatusServiceUnavailable},
		{"it takes too long", func(n *fakeNamespaces) { n.err = context.DeadlineExceeded }, http.StatusServiceUnavailable},
		{"it has no UID", func(n *fakeNamespaces) { n.uids["ns"] = "" }, http.StatusServiceUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			test.edit(f.namespaces)
			_, err := f.VirtualServer.Create(f.ctx, newServer("new", v1beta1.RunStrategyHalted), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
			var status apierrors.APIStatus
			require.ErrorAs(t, err, &status)
			assert.Equal(t, test.code, status.Status().Code)
			if test.code == http.StatusServiceUnavailable {
				assert.NotZero(t, status.Status().Details.RetryAfterSeconds)
			}
			_, err = f.VirtualServer.GetVirtualServer(f.ctx, "new")
			assert.True(t, apierrors.IsNotFound(err), "%v", err)
		})
	}
}
