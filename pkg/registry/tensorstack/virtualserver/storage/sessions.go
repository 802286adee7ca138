package storage

import (
	"context"
	"encoding/json"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/stream"
)

// SessionLister knows the open streams. stream.Sessions is one.
type SessionLister interface {
	ListAll(ctx context.Context, namespace, name string) ([]stream.Session, error)
}

// SessionsREST serves the subresource sessions: who is connected to the machine.
type SessionsREST struct {
	sessions SessionLister
}

var _ rest.Connecter = &SessionsREST{}

// NewSessionsREST makes the subresource.
func NewSessionsREST(sessions SessionLister) *SessionsREST { return &SessionsREST{sessions: sessions} }

// New implements rest.Storage.
func (r *SessionsREST) New() runtime.Object { return &tensorstack.ProxyOptions{} }

// Destroy implements rest.Storage.
func (r *SessionsREST) Destroy() {}

// NewConnectOptions implements rest.Connecter.
func (r *SessionsREST) NewConnectOptions() (runtime.Object, bool, string) {
	return &tensorstack.ProxyOptions{}, false, ""
}

// ConnectMethods implements rest.Connecter.
func (r *SessionsREST) ConnectMethods() []string { return []string{http.MethodGet} }

// sessionList is the answer.
type sessionList struct {
	metav1.TypeMeta `json:",inline"`
	Items           []sessionItem `json:"items"`
}

// sessionItem is one open stream.
type sessionItem struct {
	ID    types.UID   `json:"id"`
	Kind  stream.Kind `json:"stream"`
	Port  string      `json:"port,omitempty"`
	User  string      `json:"user"`
	Since metav1.Time `json:"since"`
}

// Connect implements rest.Connecter. It lists; a VirtualServer that nobody is connected to, or that does not exist, has no sessions.
func (r *SessionsREST) Connect(ctx context.Context, name string, _ runtime.Object, responder rest.Responder) (http.Handler, error) {
	namespace := request.NamespaceValue(ctx)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		sessions, err := r.sessions.ListAll(req.Context(), namespace, name)
		if err != nil {
			responder.Error(err)
			return
		}
		list := sessionList{
			TypeMeta: metav1.TypeMeta{APIVersion: v1beta1.SchemeGroupVersion.String(), Kind: "SessionList"}, Items: []sessionItem{},
		}
		for _, session := range sessions {
			list.Items = append(list.Items, sessionItem{
				ID: session.ID, Kind: session.Kind, Port: session.Port.String(), User: session.User, Since: metav1.NewTime(session.Since),
			})
		}
		body, err := json.Marshal(list)
		if err != nil {
			responder.Error(err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		// The client is gone if this fails.
		_, _ = w.Write(body)
	}), nil
}
