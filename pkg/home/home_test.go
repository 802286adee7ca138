package home

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/types"
)

func at(second int) time.Time { return time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC) }

func TestDecide(t *testing.T) {
	old := Namespace{UID: "old", Created: at(10)}
	for _, test := range []struct {
		name      string
		foreign   bool
		server    Server
		namespace Namespace
		want      Verdict
		reason    Reason
	}{
		{name: "at home", server: Server{NamespaceUID: "old", Created: at(20)}, namespace: old, want: Stay},
		{name: "made again", server: Server{NamespaceUID: "old", Created: at(20)}, namespace: Namespace{UID: "new", Created: at(30)}, want: Hold, reason: Replaced},
		{name: "made again by a clock that is behind", server: Server{NamespaceUID: "old", Created: at(20)}, namespace: Namespace{UID: "new", Created: at(5)}, want: Hold, reason: Replaced},
		{name: "gone", server: Server{NamespaceUID: "old", Created: at(20)}, want: Hold, reason: Deleted},
		{name: "gone, unstamped", server: Server{Created: at(20)}, want: Hold, reason: Deleted},
		{name: "unstamped, in an older namespace", server: Server{Created: at(20)}, namespace: old, want: Stamp},
		{name: "unstamped, of the same second", server: Server{Created: at(10)}, namespace: old, want: Stamp},
		{name: "unstamped, in a younger namespace", server: Server{Created: at(9)}, namespace: old, want: Hold, reason: Younger},
		{name: "unstamped and undated", server: Server{}, namespace: old, want: Hold, reason: Younger},
		{name: "another cluster, same UID", foreign: true, server: Server{NamespaceUID: "old"}, namespace: old, want: Wait},
		{name: "another cluster, another UID", foreign: true, server: Server{NamespaceUID: "old"}, namespace: Namespace{UID: "new"}, want: Wait},
		{name: "another cluster, gone", foreign: true, server: Server{NamespaceUID: "old"}, want: Wait},
		{name: "another cluster, unstamped", foreign: true, server: Server{Created: at(20)}, namespace: old, want: Wait},
	} {
		t.Run(test.name, func(t *testing.T) {
			verdict, reason := Decide(!test.foreign, test.server, test.namespace)
			assert.Equal(t, test.want, verdict)
			assert.Equal(t, test.reason, reason)
		})
	}
}

func TestAtHome(t *testing.T) {
	for _, test := range []struct {
		belongsTo, namespace types.UID
		want                 bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"", "a", false}, {"a", "", false}, {"", "", false},
	} {
		assert.Equal(t, test.want, AtHome(test.belongsTo, test.namespace), "%q in %q", test.belongsTo, test.namespace)
	}
}
