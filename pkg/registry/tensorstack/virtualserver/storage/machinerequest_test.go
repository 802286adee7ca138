package storage

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/install"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/stream"
)

// recordingGateway remembers the last call.
type recordingGateway struct {
	stream  *stream.Call
	operate *stream.OperationCall
}

func (g *recordingGateway) Stream(call stream.Call, _ rest.Responder) http.Handler {
	g.stream = &call
	return http.NotFoundHandler()
}

func (g *recordingGateway) Operate(call stream.OperationCall, _ rest.Responder) http.Handler {
	g.operate = &call
	return http.NotFoundHandler()
}

func connecters(gateway Gateway) map[string]rest.Storage {
	return map[string]rest.Storage{
		"console": NewConsoleREST(gateway), "vnc": NewVNCREST(gateway), "portforward": NewPortForwardREST(gateway), "usbredir": NewUSBRedirREST(gateway),
		"pause": NewPauseREST(gateway), "unpause": NewUnpauseREST(gateway), "softreboot": NewSoftRebootREST(gateway), "reset": NewResetREST(gateway),
		"guestosinfo": NewGuestOSInfoREST(gateway), "userlist": NewUserListREST(gateway), "filesystemlist": NewFilesystemListREST(gateway),
		"addvolume": NewAddVolumeREST(gateway), "removevolume": NewRemoveVolumeREST(gateway), "migrate": NewMigrateREST(gateway),
		"memorydump": NewMemoryDumpREST(gateway), "removememorydump": NewRemoveMemoryDumpREST(gateway),
	}
}

// TestConnectersCanBeInstalled checks what the installer of the API needs: options of a kind that is registered in both versions.
func TestConnectersCanBeInstalled(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	for name, object := range connecters(&recordingGateway{}) {
		connecter, ok := object.(rest.Connecter)
		require.True(t, ok, name)
		options, _, _ := connecter.NewConnectOptions()
		kinds, _, err := scheme.ObjectKinds(options)
		require.NoError(t, err, name)
		assert.True(t, scheme.Recognizes(v1beta1.SchemeGroupVersion.WithKind(kinds[0].Kind)), name)
		assert.NotEmpty(t, connecter.ConnectMethods(), name)
		assert.IsType(t, options, object.New(), name)
	}
}

func TestConnect(t *testing.T) {
	for _, test := range []struct {
		name, subresource string
		options           runtime.Object
		stream            *stream.Call
		operation         string
		fails             func(error) bool
	}{
		{name: "console", subresource: "console", options: &tensorstack.ConsoleOptions{Wait: 5, TakeOver: true},
			stream: &stream.Call{Kind: stream.Console, Namespace: "ns", Name: "vs", Wait: 5 * time.Second, TakeOver: true}},
		{name: "vnc", subresource: "vnc", options: &tensorstack.VNCOptions{PreserveSession: true},
			stream: &stream.Call{Kind: stream.VNC, Namespace: "ns", Name: "vs", PreserveSession: true}},
		{name: "screenshot", subresource: "vnc", options: &tensorstack.VNCOptions{Path: "/screenshot", MoveCursor: true}, operation: stream.Screenshot},
		{name: "unknown path", subresource: "vnc", options: &tensorstack.VNCOptions{Path: "/screenshot/"}, fails: apierrors.IsNotFound},
		{name: "port", subresource: "portforward", options: &tensorstack.PortForwardOptions{Path: "/53/udp"},
			stream: &stream.Call{Kind: stream.PortForward, Namespace: "ns", Name: "vs", Port: stream.Port{Number: 53, Protocol: "udp"}}},
		{name: "no port", subresource: "portforward", options: &tensorstack.PortForwardOptions{}, fails: apierrors.IsInvalid},
		{name: "hostile port", subresource: "portforward", options: &tensorstack.PortForwardOptions{Path: "/22/tcp/../../x"}, fails: apierrors.IsInvalid},
		{name: "usb", subresource: "usbredir", options: &tensorstack.USBRedirOptions{}, stream: &stream.Call{Kind: stream.USBRedir, Namespace: "ns", Name: "vs"}},
		{name: "too long a wait", subresource: "console", options: &tensorstack.ConsoleOptions{Wait: 301}, fails: apierrors.IsInvalid},
		{name: "a wait into the past", subresource: "console", options: &tensorstack.ConsoleOptions{Wait: -1}, fails: apierrors.IsInvalid},
		{name: "vnc that takes over and preserves", subresource: "vnc", options: &tensorstack.VNCOptions{TakeOver: true, PreserveSession: true},
			fails: apierrors.IsInvalid},
		{name: "vnc with too long a wait", subresource: "vnc", options: &tensorstack.VNCOptions{Wait: 1 << 62}, fails: apierrors.IsInvalid},
		{name: "usb with a wait into the past", subresource: "usbredir", options: &tensorstack.USBRedirOptions{Wait: -1}, fails: apierrors.IsInvalid},
		{name: "port with too long a wait", subresource: "portforward", options: &tensorstack.PortForwardOptions{Path: "/22", Wait: 301},
			fails: apierrors.IsInvalid},
		{name: "a port above", subresource: "portforward", options: &tensorstack.PortForwardOptions{Path: "/65536"}, fails: apierrors.IsInvalid},
		{name: "a port of another protocol", subresource: "portforward", options: &tensorstack.PortForwardOptions{Path: "/22/sctp"}, fails: apierrors.IsInvalid},
		{name: "other options", subresource: "console", options: &tensorstack.VNCOptions{}, fails: apierrors.IsInternalError},
		{name: "pause", subresource: "pause", options: &tensorstack.ProxyOptions{}, operation: stream.Pause},
		{name: "guestosinfo", subresource: "guestosinfo", options: &tensorstack.ProxyOptions{}, operation: stream.GuestOSInfo},
	} {
		t.Run(test.name, func(t *testing.T) {
			gateway := &recordingGateway{}
			ctx := request.WithNamespace(context.Background(), "ns")
			_, err := connecters(gateway)[test.subresource].(rest.Connecter).Connect(ctx, "vs", test.options, nil)
			if test.fails != nil {
				assert.True(t, test.fails(err), "%v", err)
				assert.Nil(t, gateway.stream)
				assert.Nil(t, gateway.operate)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.stream, gateway.stream)
			if test.operation != "" {
				require.NotNil(t, gateway.operate)
				assert.Equal(t, test.operation, gateway.operate.Operation.Name)
				assert.Equal(t, "ns/vs", gateway.operate.Namespace+"/"+gateway.operate.Name)
			}
		})
	}
}

func TestEveryOperationHasItsSubresource(t *testing.T) {
	served := connecters(&recordingGateway{})
	for _, operation := range stream.Operations() {
		if operation.Name == stream.Screenshot {
			continue // below vnc
		}
		assert.Contains(t, served, operation.Name)
	}
	for _, kind := range stream.Kinds() {
		assert.Contains(t, served, string(kind))
	}
}

// sessionsOf answers with what was asked for.
type sessionsOf struct{}

func (sessionsOf) ListAll(_ context.Context, namespace, name string) ([]stream.Session, error) {
	return []stream.Session{{
		ID: "1", Kind: stream.PortForward, Port: stream.Port{Number: 22, Protocol: "tcp"}, User: namespace + "/" + name, Since: time.Unix(0, 0).UTC(),
	}}, nil
}

func TestSessions(t *testing.T) {
	ctx := request.WithNamespace(context.Background(), "ns")
	handler, err := NewSessionsREST(sessionsOf{}).Connect(ctx, "vs", nil, nil)
	require.NoError(t, err)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Equal(t, "application/json", recorder.Header().Get("Content-Type"))
	assert.JSONEq(t, `{"kind":"SessionList","apiVersion":"tensorstack.dev/v1beta1","items":[
		{"id":"1","stream":"portforward","port":"22/tcp","user":"ns/vs","since":"1970-01-01T00:00:00Z"}]}`, recorder.Body.String())
}
