package framework

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

// ProductConfig connects as the user of config to the product's own address, past kube-apiserver.
func (e *Environment) ProductConfig(config *rest.Config) *rest.Config {
	direct := rest.CopyConfig(config)
	direct.Host = e.Plane.ProductURL()
	direct.CAFile, direct.CAData = "", e.Plane.ProductCA()
	direct.ServerName = "virtualserver-apiserver.virtualserver-system.svc"
	return direct
}

// RawRequest is a request that is sent byte for byte: Go's own client would clean its path.
type RawRequest struct {
	// Method and Path stand in the request line as they are.
	Method, Path string
	// Header is added to Host and Authorization.
	Header http.Header
}

// Upgrade are the headers that ask for a stream.
func Upgrade() http.Header {
	return http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Protocol": {PlainProtocol},
	}
}

// Raw sends a request as the user of config and returns the answer and at most 4 KiB of its body.
func (e *Environment) Raw(config *rest.Config, request RawRequest) (*http.Response, string) {
	e.T.Helper()
	server, err := url.Parse(config.Host)
	require.NoError(e.T, err)
	tlsConfig, err := rest.TLSConfigFor(config)
	require.NoError(e.T, err)
	tlsConfig.NextProtos = []string{"http/1.1"}
	connection, err := (&tls.Dialer{Config: tlsConfig}).DialContext(e.Context, "tcp", server.Host)
	require.NoError(e.T, err)
	defer connection.Close()
	require.NoError(e.T, connection.SetDeadline(time.Now().Add(DefaultTimeout)))

	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", request.Method, request.Path, server.Host)
	if config.BearerToken != "" {
		fmt.Fprintf(&text, "Authorization: Bearer %s\r\n", config.BearerToken)
	}
	for name, values := range request.Header {
		for _, value := range values {
			fmt.Fprintf(&text, "%s: %s\r\n", name, value)
		}
	}
	_, err = io.WriteString(connection, text.String()+"\r\n")
	require.NoError(e.T, err)
	response, err := http.ReadResponse(bufio.NewReader(connection), &http.Request{Method: request.Method})
	require.NoError(e.T, err, request.Path)
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return response, ""
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	require.NoError(e.T, err, request.Path)
	return response, string(body)
}
