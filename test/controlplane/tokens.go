package controlplane

import (
	"context"
	"fmt"
	"os"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// serviceAccountTokenValidity covers the longest run of a control plane. The certificates
// end at the same time.
const serviceAccountTokenValidity = certificateValidity

// requestToken asks kube-apiserver for a token of a ServiceAccount. validity is at least
// 10 minutes, which is Kubernetes' own limit.
func requestToken(ctx context.Context, client kubernetes.Interface, namespace, name string, validity time.Duration) (string, error) {
	seconds := int64(validity / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	answer, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("token of ServiceAccount %s/%s: %w", namespace, name, err)
	}
	return answer.Status.Token, nil
}

// serviceAccountKubeconfig writes a token to a file, as the kubelet does, and a
// kubeconfig that uses it. It returns the kubeconfig's path.
func (c *ControlPlane) serviceAccountKubeconfig(ctx context.Context, namespace, name string) (string, error) {
	token, err := requestToken(ctx, c.client, namespace, name, serviceAccountTokenValidity)
	if err != nil {
		return "", err
	}
	file := c.paths.token(namespace + "-" + name)
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		return "", err
	}
	path := c.paths.kubeconfig(namespace + "-" + name)
	return path, writeKubeconfig(path, c.server, c.clusterCAPEM, &clientcmdapi.AuthInfo{TokenFile: file})
}
