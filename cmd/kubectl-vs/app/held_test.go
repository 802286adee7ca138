package app

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func heldOne(namespace, name, uid string) v1beta1.HeldVirtualServer {
	expires := metav1.NewTime(at(0).Add(7 * 24 * time.Hour))
	held := v1beta1.HeldVirtualServer{
		ObjectMeta: metav1.ObjectMeta{Name: uid, CreationTimestamp: at(0)},
		Reason:     v1beta1.HeldNamespaceReplaced, ExpiresAt: &expires,
	}
	held.VirtualServer.Namespace, held.VirtualServer.Name = namespace, name
	return held
}

func TestChooseHeld(t *testing.T) {
	all := []v1beta1.HeldVirtualServer{
		heldOne("team", "web", "uid-1"), heldOne("team", "db", "uid-2"), heldOne("team", "db", "uid-3"), heldOne("other", "web", "uid-4"),
	}
	for _, test := range []struct {
		name, namespace string
		arguments       []string
		want            []string
		problem         string
	}{
		{"by name", "team", []string{"web"}, []string{"uid-1"}, ""},
		{"the same name elsewhere", "other", []string{"web"}, []string{"uid-4"}, ""},
		{"by UID", "team", []string{"uid-3"}, []string{"uid-3"}, ""},
		{"a UID of elsewhere", "team", []string{"uid-4"}, nil, "no VirtualServer uid-4 of a namespace team is held"},
		{"two of a name", "team", []string{"db"}, nil, "choose one by its UID: uid-2, uid-3"},
		{"none of the name", "team", []string{"mail"}, nil, "no VirtualServer mail"},
		{"all", "team", nil, []string{"uid-1", "uid-2", "uid-3"}, ""},
		{"all of nothing", "empty", nil, nil, "no VirtualServer of a namespace empty is held"},
	} {
		t.Run(test.name, func(t *testing.T) {
			chosen, err := chooseHeld(inNamespace(all, test.namespace), test.namespace, test.arguments)
			if test.problem != "" {
				require.ErrorContains(t, err, test.problem)
				return
			}
			require.NoError(t, err)
			var uids []string
			for _, held := range chosen {
				uids = append(uids, held.Name)
			}
			assert.Equal(t, test.want, uids)
		})
	}
}

func TestWriteHeld(t *testing.T) {
	out := &bytes.Buffer{}
	require.NoError(t, writeHeld(out, []v1beta1.HeldVirtualServer{heldOne("team", "web", "uid-1")}, at(30).Time))
	requireLines(t, []string{
		"NAMESPACE   NAME   REASON              HELD FOR   EXPIRES IN   UID",
		"team        web    NamespaceReplaced   30s        6d23h        uid-1",
	}, out.String())
	out.Reset()
	require.NoError(t, writeHeld(out, nil, at(0).Time))
	assert.Equal(t, "No VirtualServer is held.\n", out.String())
}

func TestHeldArguments(t *testing.T) {
	for name, test := range map[string]struct {
		arguments []string
		want      string
	}{
		"nothing":            {[]string{"held", "restore"}, "by its name or UID, or use --all"},
		"a name and all":     {[]string{"held", "restore", "web", "--all"}, "exclude each other"},
		"two names":          {[]string{"held", "delete", "a", "b"}, "accepts 1 arg"},
		"a path":             {[]string{"held", "restore", "../x"}, "may not contain '/'"},
		"no such subcommand": {[]string{"held", "return", "web"}, "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, test.arguments...)
			require.ErrorContains(t, err, test.want)
		})
	}
}
