// Package apiserver is the extension API server: it serves the group tensorstack.dev and runs the controllers beside it.
package apiserver

import (
	"context"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/util/sets"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	restclient "k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/heldvirtualserver"
	tensorstackrest "tensorstack.dev/virtualserver/pkg/registry/tensorstack/rest"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver/storage"
)

// ControllerFunc runs the controllers until the context ends, and returns after the last of them has stopped. The
// loopback client reaches this server with all rights; it is for virtualservers only.
type ControllerFunc func(ctx context.Context, loopback *restclient.Config) error

// ExtraConfig is what this server needs beyond what every generic API server needs.
type ExtraConfig struct {
	// Storage is what the storage of virtualservers needs.
	Storage storage.Options
	// Keeper holds VirtualServers whose namespace is gone. Without one they are not served.
	Keeper heldvirtualserver.Keeper
	// KeepNamespaces looks after the namespaces of VirtualServers until the context ends. It may be nil.
	KeepNamespaces func(ctx context.Context) error
	// Subresources makes the subresources that are not served from etcd. It may be nil.
	Subresources tensorstackrest.Subresources
	// Handlers wraps the handler of the API, behind authentication, authorization and audit, with handlers of paths that
	// are not resources. It is called after Subresources. It may be nil.
	Handlers func(api http.Handler) http.Handler
	// RequestInfo tells what requests to Handlers are, and leaves others to next. It may be nil.
	RequestInfo func(next apirequest.RequestInfoResolver) apirequest.RequestInfoResolver
	// Controller runs the controllers. It may be nil.
	Controller ControllerFunc
	// CloseStreams ends every open stream with a reason and returns when they have ended or the context has. It may be nil.
	CloseStreams func(ctx context.Context) error
}

// Config is the configuration of the server.
type Config struct {
	Generic *genericapiserver.RecommendedConfig
	Extra   ExtraConfig
}

type completedConfig struct {
	generic genericapiserver.CompletedConfig
	extra   *ExtraConfig
	api     *deferredHandler
}

// CompletedConfig is a configuration that only Complete can make.
type CompletedConfig struct {
	*completedConfig
}

// Complete fills in what can be derived.
func (c *Config) Complete() CompletedConfig {
	c.Generic.LongRunningFunc = longRunning()
	if c.Extra.RequestInfo != nil {
		c.Generic.RequestInfoResolver = c.Extra.RequestInfo(genericapiserver.NewRequestInfoResolver(&c.Generic.Config))
	}
	api := &deferredHandler{}
	c.Generic.BuildHandlerChainFunc = func(handler http.Handler, config *genericapiserver.Config) http.Handler {
		api.inner = withTypeCheck(handler)
		return withUpgrades(withOperations(genericapiserver.DefaultBuildHandlerChain(api, config)))
	}
	return CompletedConfig{&completedConfig{generic: c.Generic.Complete(), extra: &c.Extra, api: api}}
}

// Server is the extension API server.
type Server struct {
	Generic *genericapiserver.GenericAPIServer
}

// New makes the server with its API and its hooks. It does not start anything.
func (c completedConfig) New() (*Server, error) {
	generic, err := c.generic.New("virtualserver-apiserver", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	provider := tensorstackrest.StorageProvider{
		Options: c.extra.Storage, Keeper: c.extra.Keeper, Subresources: c.extra.Subresources,
	}
	group, err := provider.APIGroupInfo(c.generic.RESTOptionsGetter)
	if err != nil {
		return nil, err
	}
	if err := generic.InstallAPIGroup(group); err != nil {
		return nil, fmt.Errorf("install the API group: %w", err)
	}
	if c.extra.Handlers != nil {
		c.api.inner = c.extra.Handlers(c.api.inner)
	}
	if err := addHooks(generic, c.extra); err != nil {
		return nil, err
	}
	if err := generic.AddReadyzChecks(frontProxyCheck(c.generic.Authentication.RequestHeaderConfig)); err != nil {
		return nil, fmt.Errorf("add the check of the front proxy: %w", err)
	}
	return &Server{Generic: generic}, nil
}

// deferredHandler lets the filters be built before the handlers behind them. inner is set before the server starts.
type deferredHandler struct {
	inner http.Handler
}

func (h *deferredHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.inner.ServeHTTP(w, r) }

// longRunning names the requests that may last for hours. The library's own rule knows only watch, and every other
// request gets a deadline and holds a seat of priority and fairness for as long as it lasts.
func longRunning() apirequest.LongRunningRequestCheck {
	basic := genericfilters.BasicLongRunningRequestCheck(
		sets.NewString("watch"), sets.NewString("console", "vnc", "portforward", "usbredir"))
	return func(r *http.Request, info *apirequest.RequestInfo) bool {
		if info != nil && info.Subresource == "vnc" && len(info.Parts) > 3 {
			return false // vnc/screenshot is a picture, not a stream.
		}
		return basic(r, info)
	}
}
