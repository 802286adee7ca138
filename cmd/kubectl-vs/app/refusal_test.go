package app

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A refusal may come from anything on the way, and may be cut at any byte.
func TestARefusalIsReadAsFarAsItGoes(t *testing.T) {
	message := "\u00e4 \"quoted\" \u2028 machine \\ of \u7248\u672c"
	full, err := json.Marshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Message: message,
		Reason: metav1.StatusReasonConflict, Code: http.StatusConflict, Details: &metav1.StatusDetails{Name: "my-vs"},
	})
	require.NoError(t, err)
	for length := range full {
		status := statusIn(full[:length])
		told := strings.TrimSuffix(status.Message, "...")
		require.True(t, strings.HasPrefix(message, told), "%d bytes: %q", length, status.Message)
	}
	assert.Equal(t, message, statusIn(full).Message)
	at := strings.Index(string(full), `,"reason"`)
	assert.Equal(t, message, statusIn(full[:at]).Message, "the message is whole")
	assert.Equal(t, metav1.StatusReasonConflict, statusIn(full[:len(full)-1]).Reason)
}

func TestTheReasonOfARefusal(t *testing.T) {
	for name, test := range map[string]struct {
		code   int
		body   string
		reason metav1.StatusReason
		text   string
	}{
		"a Status":           {409, `{"kind":"Status","message":"held","reason":"Conflict","code":409}`, metav1.StatusReasonConflict, "held"},
		"a Status of old":    {400, `{"kind":"Status","message":"not up"}`, metav1.StatusReasonBadRequest, "not up"},
		"a proxy":            {503, "<html>no upstream</html>\n", metav1.StatusReasonServiceUnavailable, "503 Service Unavailable <html>no upstream</html>"},
		"nothing":            {403, "", metav1.StatusReasonForbidden, "403 Forbidden"},
		"JSON that is none":  {404, `[1]`, metav1.StatusReasonNotFound, "404 Not Found [1]"},
		"a code of no sense": {418, "tea", "", "418 I'm a teapot tea"},
	} {
		t.Run(name, func(t *testing.T) {
			err := refusalOf(&http.Response{
				StatusCode: test.code, Status: fmt.Sprintf("%d %s", test.code, http.StatusText(test.code)), Body: io.NopCloser(strings.NewReader(test.body)),
			})
			var refused *apierrors.StatusError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, test.reason, refused.ErrStatus.Reason)
			assert.Equal(t, test.text, refused.Error())
		})
	}
}
