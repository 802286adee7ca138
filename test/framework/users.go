package framework

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// User is a ServiceAccount of the test's namespace with rights of its own.
type User struct {
	// Name is the name of the ServiceAccount.
	Name string
	// Token is a bearer token of it.
	Token string
	// Config connects as this user.
	Config *rest.Config
	// Kubeconfig is a file that connects as this user.
	Kubeconfig string
}

// UserWith creates a user that has just these rights in the test's namespace.
func (e *Environment) UserWith(name string, rules ...rbacv1.PolicyRule) *User {
	e.T.Helper()
	user := e.newUser(name)
	_, err := e.Kube.RbacV1().Roles(e.Namespace).Create(e.Context,
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{})
	require.NoError(e.T, err)
	e.bind(name, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name})
	for _, rule := range rules {
		e.waitAllowed(user, rule)
	}
	return user
}

// Grant gives a user further rights in any namespace, one that is not the test's own too.
func (e *Environment) Grant(user *User, namespace string, rules ...rbacv1.PolicyRule) {
	e.T.Helper()
	role, err := e.Kube.RbacV1().Roles(namespace).Create(e.Context,
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{GenerateName: user.Name + "-"}, Rules: rules}, metav1.CreateOptions{})
	require.NoError(e.T, err)
	e.bindIn(namespace, role.Name, user.Name, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name})
	for _, rule := range rules {
		e.waitAllowedIn(namespace, user, rule)
	}
}

// UserInRole creates a user that has a ClusterRole, such as view, edit or admin, in the test's namespace.
func (e *Environment) UserInRole(name, clusterRole string) *User {
	e.T.Helper()
	user := e.newUser(name)
	e.bind(name, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole})
	e.waitAllowed(user, rbacv1.PolicyRule{
		APIGroups: []string{"tensorstack.dev"}, Resources: []string{"virtualservers"}, Verbs: []string{"get"}})
	return user
}

func (e *Environment) newUser(name string) *User {
	e.T.Helper()
	accounts := e.Kube.CoreV1().ServiceAccounts(e.Namespace)
	_, err := accounts.Create(e.Context, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	require.NoError(e.T, err)
	token, err := accounts.CreateToken(e.Context, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(e.T, err)
	config := rest.AnonymousClientConfig(e.Config)
	config.BearerToken = token.Status.Token
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	user := &User{Name: name, Token: token.Status.Token, Config: config, Kubeconfig: filepath.Join(e.T.TempDir(), name+".kubeconfig")}
	require.NoError(e.T, clientcmd.WriteToFile(e.kubeconfigFor(user), user.Kubeconfig))
	return user
}

// KubeVirtPrefix is the path that gives KubeVirt's API by the names of VirtualServers.
const KubeVirtPrefix = "/apis/tensorstack.dev/v1beta1/kubevirt"

// PrefixKubeconfig is a file by which virtctl works on VirtualServers as this user.
func (e *Environment) PrefixKubeconfig(user *User) string {
	e.T.Helper()
	config := e.kubeconfigFor(user)
	config.Clusters["local"].Server += KubeVirtPrefix
	path := filepath.Join(e.T.TempDir(), user.Name+"-prefix.kubeconfig")
	require.NoError(e.T, clientcmd.WriteToFile(config, path))
	return path
}

// waitAllowed waits until the authorizer knows a right that was just granted: it works from a cache, and a refusal would
// be remembered for some seconds.
func (e *Environment) waitAllowed(user *User, rule rbacv1.PolicyRule) {
	e.T.Helper()
	e.waitAllowedIn(e.Namespace, user, rule)
}

func (e *Environment) waitAllowedIn(namespace string, user *User, rule rbacv1.PolicyRule) {
	e.T.Helper()
	client, err := kubernetes.NewForConfig(user.Config)
	require.NoError(e.T, err)
	resource, subresource, _ := strings.Cut(rule.Resources[0], "/")
	attributes := &authorizationv1.ResourceAttributes{
		Namespace: namespace, Group: rule.APIGroups[0], Resource: resource, Subresource: subresource, Verb: rule.Verbs[0]}
	if len(rule.ResourceNames) > 0 {
		attributes.Name = rule.ResourceNames[0]
	}
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes}}
	e.Eventually("the rights of "+user.Name+" are known", func() error {
		answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(e.Context, review, metav1.CreateOptions{})
		if err == nil && !answer.Status.Allowed {
			return errors.New("not allowed yet")
		}
		return err
	})
}

func (e *Environment) kubeconfigFor(user *User) clientcmdapi.Config {
	return clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"local": {
			Server: user.Config.Host, CertificateAuthority: user.Config.CAFile, CertificateAuthorityData: user.Config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{user.Name: {Token: user.Token}},
		Contexts:       map[string]*clientcmdapi.Context{"local": {Cluster: "local", AuthInfo: user.Name, Namespace: e.Namespace}},
		CurrentContext: "local",
	}
}

func (e *Environment) bind(name string, role rbacv1.RoleRef) {
	e.T.Helper()
	e.bindIn(e.Namespace, name, name, role)
}

func (e *Environment) bindIn(namespace, name, user string, role rbacv1.RoleRef) {
	e.T.Helper()
	_, err := e.Kube.RbacV1().RoleBindings(namespace).Create(e.Context, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: user, Namespace: e.Namespace}},
		RoleRef:    role,
	}, metav1.CreateOptions{})
	require.NoError(e.T, err)
}
