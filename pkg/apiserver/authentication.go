package apiserver

import (
	"errors"
	"net/http"

	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/server/healthz"
)

// frontProxyCheck fails until the CA of kube-apiserver's front proxy is known. The library reads it in the background and
// is ready before; every request that kube-apiserver passes on until then would be that of an anonymous user, and refused.
func frontProxyCheck(config *authenticatorfactory.RequestHeaderConfig) healthz.HealthChecker {
	return healthz.NamedCheck("front-proxy-ca", func(*http.Request) error {
		if config == nil || len(config.CAContentProvider.CurrentCABundleContent()) > 0 {
			return nil
		}
		return errors.New("the CA of kube-apiserver's front proxy is not read yet")
	})
}
