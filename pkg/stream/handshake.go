package stream

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// checkUpgrade refuses what is no websocket, or one that the upgrade would refuse, before anything is done for it: a take-over
// and a dial end the session of whoever is connected.
func (g *Gateway) checkUpgrade(req *http.Request, call Call) error {
	if !websocket.IsWebSocketUpgrade(req) || req.Method != http.MethodGet {
		return apierrors.NewBadRequest("this is a stream: ask for it with a websocket upgrade and the subprotocol " + Subprotocol)
	}
	if req.ProtoMajor != 1 {
		return apierrors.NewBadRequest("a websocket needs HTTP/1.1")
	}
	if req.Header.Get("Sec-WebSocket-Version") != "13" {
		return apierrors.NewBadRequest("the header Sec-WebSocket-Version must be 13")
	}
	if key, err := base64.StdEncoding.DecodeString(req.Header.Get("Sec-WebSocket-Key")); err != nil || len(key) != 16 {
		return apierrors.NewBadRequest("the header Sec-WebSocket-Key must be 16 bytes in base64")
	}
	if offered := websocket.Subprotocols(req); len(offered) > 0 && !slices.Contains(offered, Subprotocol) {
		return apierrors.NewBadRequest("the only subprotocol is " + Subprotocol)
	}
	if !g.upgrader.CheckOrigin(req) {
		return apierrors.NewForbidden(tensorstack.Resource("virtualservers/"+string(call.Kind)), call.Name,
			fmt.Errorf("a page of %q must not open a stream of %q", req.Header.Get("Origin"), req.Host))
	}
	return nil
}

// sameOrigin accepts requests that no browser made, and those of pages of the server's own host.
func sameOrigin(req *http.Request) bool {
	origins := req.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	origin, err := url.Parse(origins[0])
	return err == nil && len(origins) == 1 && strings.EqualFold(origin.Host, req.Host)
}
