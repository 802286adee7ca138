package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxRefusal is how much of an answer is read, in bytes.
const maxRefusal = 64 << 10

// refusalOf is the answer of a server that did not open a stream, as any other request would return it.
func refusalOf(response *http.Response) error {
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	if err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	status := statusIn(body)
	if status.Message == "" {
		// Something on the way answered, such as a proxy: it has no Status.
		status.Message = strings.TrimSpace(response.Status + " " + string(body))
	}
	if status.Code == 0 {
		status.Code = int32(response.StatusCode)
	}
	if status.Reason == "" {
		status.Reason = reasonOf(response.StatusCode)
	}
	return &apierrors.StatusError{ErrStatus: status}
}

// reasonOf is the reason that a Status with this code usually has. It is empty for all but those that this program tells apart.
func reasonOf(code int) metav1.StatusReason {
	switch code {
	case http.StatusBadRequest:
		return metav1.StatusReasonBadRequest
	case http.StatusUnauthorized:
		return metav1.StatusReasonUnauthorized
	case http.StatusForbidden:
		return metav1.StatusReasonForbidden
	case http.StatusNotFound:
		return metav1.StatusReasonNotFound
	case http.StatusConflict:
		return metav1.StatusReasonConflict
	case http.StatusServiceUnavailable:
		return metav1.StatusReasonServiceUnavailable
	}
	return ""
}

// statusIn reads a Status, or as much as there is of it: the websocket library keeps the first 1024 bytes of a refusal. The fields
// that matter most stand first.
func statusIn(body []byte) metav1.Status {
	status := metav1.Status{}
	if json.Unmarshal(body, &status) == nil {
		return status
	}
	status = metav1.Status{}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return status
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return status
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			if key == "message" {
				status.Message = beginning(body[decoder.InputOffset():])
			}
			return status
		}
		// A field that is no string, or of another type, is left out.
		switch key {
		case "message":
			_ = json.Unmarshal(value, &status.Message)
		case "reason":
			_ = json.Unmarshal(value, &status.Reason)
		}
	}
	return status
}

// beginning is what there is of a JSON string that was cut, which may have been in the middle of an escape or a character.
func beginning(cut []byte) string {
	_, cut, found := bytes.Cut(cut, []byte{'"'})
	const longestEscape = len(`\u0000`)
	for drop := 0; found && drop < longestEscape && drop <= len(cut); drop++ {
		text := ""
		if json.Unmarshal([]byte(`"`+string(cut[:len(cut)-drop])+`"`), &text) == nil {
			return strings.TrimRight(text, string(unicode.ReplacementChar)) + "..."
		}
	}
	return ""
}
