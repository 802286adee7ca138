package references

import (
	"context"
	"errors"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// review asks for the rights of one user for the duration of one request.
type review struct {
	ctx        context.Context
	authorizer authorizer.UnconditionalAuthorizer
	user       user.Info
	namespace  string
	// mayCreatePods is the answer to the question that nearly every reference asks, once it has been asked.
	mayCreatePods *bool
}

func (r *review) allowed(attributes authorizer.AttributesRecord) (bool, error) {
	attributes.User = r.user
	attributes.ResourceRequest = true
	decision, _, err := r.authorizer.Authorize(r.ctx, attributes)
	if decision == authorizer.DecisionAllow {
		return true, nil
	}
	return false, err
}

// checkReference returns why the user may not use the named object, or "" if they may. Who can create pods in the
// namespace can read everything there that a pod can mount; anyone else needs the right to the very object.
func (r *review) checkReference(ref reference) (denial string, err error) {
	allowed, err := r.canCreatePods()
	if err != nil || allowed {
		return "", err
	}
	const pods = "the right to create pods"
	attributes := authorizer.AttributesRecord{Verb: "get", Namespace: r.namespace, APIVersion: "v1", Name: ref.name}
	alternative := ""
	switch ref.kind {
	case image:
		return r.denial(ref.path, "choose a container image that runs in this namespace", pods, r.namespace), nil
	case secret:
		attributes.Resource, alternative = "secrets", " or to get this Secret"
	case configMap:
		attributes.Resource, alternative = "configmaps", " or to get this ConfigMap"
	case serviceAccount:
		attributes.Verb, attributes.Resource, attributes.Subresource = "create", "serviceaccounts", "token"
		alternative = " or to create serviceaccounts/token for this ServiceAccount"
	}
	if allowed, err = r.allowed(attributes); err != nil || allowed {
		return "", err
	}
	return r.denial(ref.path, fmt.Sprintf("use the %s %q", ref.kind, ref.name), pods+alternative, r.namespace), nil
}

func (r *review) canCreatePods() (bool, error) {
	if r.mayCreatePods == nil {
		allowed, err := r.allowed(authorizer.AttributesRecord{
			Verb: "create", Namespace: r.namespace, APIVersion: "v1", Resource: "pods",
		})
		if err != nil {
			return false, err
		}
		r.mayCreatePods = &allowed
	}
	return *r.mayCreatePods, nil
}

func (r *review) denial(path *field.Path, deed, right, namespace string) string {
	return fmt.Sprintf("%s: user %q may not %s: this needs %s in namespace %q", path, r.user.GetName(), deed, right, namespace)
}

// checkClone asks what CDI would ask if the user made the DataVolume themselves. CDI will ask only for the controller's
// rights, which are wide.
func (r *review) checkClone(source *cdiv1.DataVolumeSource, name string, path *field.Path) (denial string, err error) {
	volume := &cdiv1.DataVolume{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: name},
		Spec:       cdiv1.DataVolumeSpec{Source: source},
	}
	response, err := volume.AuthorizeUser(r.namespace, name, cloneProxy{r}, userInfo(r.user))
	if errors.Is(err, cdiv1.ErrNoTokenOkay) {
		// There is nothing to clone.
		return "", nil
	}
	if err != nil || response.Allowed {
		return "", err
	}
	if source.PVC != nil {
		return r.denial(path.Child("pvc"), fmt.Sprintf("copy the PersistentVolumeClaim %q", source.PVC.Name),
			"the right to create datavolumes.cdi.kubevirt.io/source or pods", source.PVC.Namespace), nil
	}
	return r.denial(path.Child("snapshot"), fmt.Sprintf("copy the VolumeSnapshot %q", source.Snapshot.Name),
		"the right to create datavolumes.cdi.kubevirt.io/source, or both pods and pvcs,", source.Snapshot.Namespace), nil
}

func userInfo(info user.Info) authenticationv1.UserInfo {
	extra := map[string]authenticationv1.ExtraValue{}
	for key, values := range info.GetExtra() {
		extra[key] = values
	}
	return authenticationv1.UserInfo{
		Username: info.GetName(), UID: info.GetUID(), Groups: info.GetGroups(), Extra: extra,
	}
}

// cloneProxy answers CDI's questions about a user from the server's own authorizer.
type cloneProxy struct {
	*review
}

var _ cdiv1.AuthorizationHelperProxy = cloneProxy{}

// CreateSar answers a SubjectAccessReview about the user of the request.
func (p cloneProxy) CreateSar(sar *authorizationv1.SubjectAccessReview) (*authorizationv1.SubjectAccessReview, error) {
	asked := sar.Spec.ResourceAttributes
	if asked == nil || sar.Spec.User != p.user.GetName() {
		return nil, fmt.Errorf("unexpected access review of user %q", sar.Spec.User)
	}
	allowed, err := p.allowed(authorizer.AttributesRecord{
		Verb: asked.Verb, Namespace: asked.Namespace, APIGroup: asked.Group, APIVersion: asked.Version,
		Resource: asked.Resource, Subresource: asked.Subresource, Name: asked.Name,
	})
	if err != nil {
		return nil, err
	}
	answer := sar.DeepCopy()
	answer.Status.Allowed = allowed
	return answer, nil
}

// GetNamespace returns a namespace of the name whether it exists or not: the answer must not tell a user without rights.
func (cloneProxy) GetNamespace(name string) (*corev1.Namespace, error) {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, nil
}

// GetDataSource is never needed: a VirtualServer cannot name a DataSource.
func (cloneProxy) GetDataSource(namespace, name string) (*cdiv1.DataSource, error) {
	return nil, fmt.Errorf("DataSource %s/%s: a VirtualServer cannot name a DataSource", namespace, name)
}
