package stream

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// Codes of the websocket's close frame, beyond the standard ones. 4000 to 4999 are for applications (RFC 6455, 7.4.2).
const (
	// CloseMachineStopped: the machine stopped, restarted or was deleted.
	CloseMachineStopped = 4000
	// CloseTakenOver: another user, or the same one from elsewhere, took the session over.
	CloseTakenOver = 4001
)

// Closing is why a stream ends. It is the cause of a session's context when we end it ourselves.
type Closing struct {
	// Code is the code of the close frame.
	Code int
	// Reason is for people. The close frame carries at most 123 bytes of it.
	Reason string
}

// Error makes a Closing usable as the cause of a context.
func (c Closing) Error() string {
	return c.Reason
}

// frame is the payload of the close frame.
func (c Closing) frame() []byte {
	return websocket.FormatCloseMessage(c.code(), shorten(c.Reason, maxReason))
}

// maxReason is what a control frame holds (RFC 6455, 5.5) less the two bytes of the code.
const maxReason = 123

// code is one that may be sent; 1005, 1006 and 1015 may not (RFC 6455, 7.4.1).
func (c Closing) code() int {
	switch {
	case c.Code == websocket.CloseNoStatusReceived:
		return websocket.CloseNormalClosure
	case c.Code < 1000, c.Code >= 5000, c.Code == websocket.CloseAbnormalClosure, c.Code == websocket.CloseTLSHandshake:
		return websocket.CloseInternalServerErr
	default:
		return c.Code
	}
}

// label is the code as a label of a metric. A client may send any of thousands of codes; those that mean nothing here are one.
func (c Closing) label() string {
	switch code := c.code(); code {
	case websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseInternalServerErr, websocket.CloseTryAgainLater,
		CloseMachineStopped, CloseTakenOver:
		return strconv.Itoa(code)
	default:
		return "other"
	}
}

// shorten cuts a text to a number of bytes without cutting a character.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const more = "..."
	text = text[:limit-len(more)]
	for len(text) > 0 && !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text + more
}

func closing(code int, format string, arguments ...any) Closing {
	return Closing{Code: code, Reason: fmt.Sprintf(format, arguments...)}
}
