package integration

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/generated/clientset/versioned"
	"tensorstack.dev/virtualserver/test/framework"
)

// deeds are what a user may want to do, by the kind of right that it takes: VERB RESOURCE.
func deeds() map[string][]string {
	all := map[string][]string{
		"look": {
			"get virtualservers", "list virtualservers", "watch virtualservers", "get virtualservers/status", "get virtualservers/sessions",
			"get virtualservers/guestosinfo", "get virtualservers/filesystemlist", "get virtualservers/userlist",
		},
		"edit": {"create virtualservers", "update virtualservers", "patch virtualservers", "delete virtualservers", "deletecollection virtualservers"},
		// The status is the system's. An administrator of a namespace may not write it either.
		"forge": {"update virtualservers/status", "patch virtualservers/status", "create virtualservers/nothing"},
	}
	for _, operation := range []string{"start", "stop", "restart", "pause", "unpause", "softreboot", "reset", "addvolume", "removevolume",
		"migrate", "memorydump", "removememorydump"} {
		all["operate"] = append(all["operate"], "create virtualservers/"+operation, "update virtualservers/"+operation)
	}
	for _, stream := range []string{"console", "vnc", "vnc/screenshot", "portforward", "usbredir"} {
		all["connect"] = append(all["connect"], "get virtualservers/"+stream, "create virtualservers/"+stream)
	}
	return all
}

// The roles flow into the cluster's own, and each opens what it says and no more.
func TestRolesOpenWhatTheySay(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	for role, kinds := range map[string][]string{
		"view":                  {"look"},
		"edit":                  {"look", "edit", "operate", "connect"},
		"admin":                 {"look", "edit", "operate", "connect"},
		"virtualserver-view":    {"look"},
		"virtualserver-edit":    {"edit"},
		"virtualserver-operate": {"operate"},
		"virtualserver-connect": {"connect"},
	} {
		user := "system:serviceaccount:" + e.Namespace + ":" + role
		_, err := e.Kube.RbacV1().RoleBindings(e.Namespace).Create(e.Context, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "user-"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
		allowed := func(namespace, deed string) bool {
			verb, resource, _ := strings.Cut(deed, " ")
			resource, subresource, _ := strings.Cut(resource, "/")
			answer, err := e.Kube.AuthorizationV1().SubjectAccessReviews().Create(e.Context, &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{
					Namespace: namespace, Group: "tensorstack.dev", Version: "v1beta1", Resource: resource, Subresource: subresource, Verb: verb}},
			}, metav1.CreateOptions{})
			require.NoError(t, err)
			return answer.Status.Allowed
		}
		if len(kinds) > 0 {
			e.Eventually("the binding of "+role+" is known", func() error {
				if first := deeds()[kinds[0]][0]; !allowed(e.Namespace, first) {
					return errMissing("the right to " + first)
				}
				return nil
			})
		}
		open := map[string]bool{}
		for _, kind := range kinds {
			open[kind] = true
		}
		for kind, all := range deeds() {
			for _, deed := range all {
				assert.Equal(t, open[kind], allowed(e.Namespace, deed), "%s may %s", role, deed)
			}
		}
		assert.False(t, allowed("default", "get virtualservers"), "%s in another namespace", role)
	}
}

// The same by real calls: the server asks again what kube-apiserver has asked.
func TestViewerEditorAndAdministrator(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	e.WaitSettled("machine", v1beta1.StatusRunning)
	for role, mayChange := range map[string]bool{"view": false, "edit": true, "admin": true} {
		user := e.UserInRole("a-"+role, role)
		client, err := versioned.NewForConfig(user.Config)
		require.NoError(t, err)
		servers := client.TensorstackV1beta1().VirtualServers(e.Namespace)
		attempt := func(what string, want bool, err error) {
			t.Helper()
			if want {
				assert.NoError(t, err, "%s: %s", role, what)
			} else {
				assert.True(t, apierrors.IsForbidden(err), "%s: %s: %v", role, what, err)
			}
		}
		once := []string{metav1.DryRunAll}
		_, err = servers.Get(e.Context, "machine", metav1.GetOptions{})
		attempt("get", true, err)
		_, err = servers.List(e.Context, metav1.ListOptions{})
		attempt("list", true, err)
		_, err = servers.Create(e.Context, halted("new"), metav1.CreateOptions{DryRun: once})
		attempt("create", mayChange, err)
		attempt("delete", mayChange, servers.Delete(e.Context, "machine", metav1.DeleteOptions{DryRun: once}))
		vs, err := servers.Get(e.Context, "machine", metav1.GetOptions{})
		require.NoError(t, err)
		_, err = servers.UpdateStatus(e.Context, vs, metav1.UpdateOptions{DryRun: once})
		attempt("write the status", false, err)
		for _, verb := range []string{http.MethodPost, http.MethodPut} {
			err = client.TensorstackV1beta1().RESTClient().Verb(verb).AbsPath(framework.Path(e.Namespace), "machine", "stop").
				SetHeader("Content-Type", "application/json").Body([]byte(`{"dryRun":["All"]}`)).Do(e.Context).Error()
			attempt(verb+" stop", mayChange, err)
		}
		connection, response, err := framework.Dial(e.Context, user.Config, framework.Path(e.Namespace)+"/machine/console?takeOver=true")
		require.NotNil(t, response, "%s: %v", role, err)
		if mayChange {
			require.NoError(t, err, role)
			require.NoError(t, connection.Close())
		} else {
			assert.Equal(t, http.StatusForbidden, response.StatusCode, role)
		}
		_, err = client.TensorstackV1beta1().VirtualServers("default").List(e.Context, metav1.ListOptions{})
		attempt("list in another namespace", false, err)
	}
	assert.Equal(t, v1beta1.RunStrategyAlways, e.Get("machine").Status.RunStrategy)
}
