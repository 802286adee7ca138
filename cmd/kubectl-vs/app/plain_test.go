package app

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// evil moves the cursor, sets the title of the window, colors what follows in two ways, and reverses it.
const evil = "x\x1b[2J\x1b]0;title\a\u009b31m\r\n\tb\u202ey"

func TestAPlainText(t *testing.T) {
	assert.Equal(t, "x [2J ]0;title  31m   b y", plain(evil))
	assert.Equal(t, "Ubuntu 24.04 Größe 版本", plain("Ubuntu 24.04 Größe 版本"))
	assert.Equal(t, "\ufffd", plain("\x9b"), "one byte that some terminals obey")
}

// Guests and other users choose texts that end on the terminal of somebody else.
func TestNothingThatATerminalObeysIsPrinted(t *testing.T) {
	vs := machine(is(v1beta1.StatusStarting, evil), condition(v1beta1.ConditionFailure, metav1.ConditionTrue, evil, evil), func(vs *v1beta1.VirtualServer) {
		vs.Status.GuestOS = &v1beta1.GuestOS{PrettyName: evil}
		vs.Status.PendingOperation = &v1beta1.Operation{Type: v1beta1.OperationStop, RequestedBy: evil, Message: evil}
		vs.Status.Operations = []v1beta1.OperationRecord{{RequestedBy: evil}}
		vs.Status.Disks = []v1beta1.DiskStatus{{Serial: evil}}
		vs.Status.LastFailure = &v1beta1.MachineFailure{Reason: evil, Message: evil}
	})
	out := &bytes.Buffer{}
	require.NoError(t, writeStatus(out, vs, at(1).Time))
	require.NoError(t, (&happenings{name: "my-vs", namespace: "team"}).write(out, []corev1.Event{{Reason: evil, Message: evil}}, at(1).Time))
	out.WriteString(progress(vs))
	out.WriteString((&ended{reason: evil}).Error())
	text, _ := Failure(&apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusConflict, Reason: metav1.StatusReasonConflict, Message: evil}})
	out.WriteString(text)
	assert.Equal(t, 13, strings.Count(out.String(), "x [2J"), out.String())
	for _, r := range out.String() {
		assert.False(t, r != '\n' && unicode.IsControl(r), "%q", r)
	}
}

func TestTheChainOfWhyIsPlain(t *testing.T) {
	out := &bytes.Buffer{}
	writeChain(out, []link{{evil, evil}})
	assert.Equal(t, plain(evil)+": "+plain(evil)+"\n", out.String())
}
