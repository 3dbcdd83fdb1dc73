// SPDX-License-Identifier: MIT

package codec

import (
	"errors"
	"fmt"
	"strings"
)

// The codes of a FAILURE that the framework itself answers with: SPEC 6.3. The
// game's own start at GameError.
const (
	ErrorInternal   = 1 // the handler failed; the server's log has the reason
	ErrorNoRoute    = 2 // nobody handles this route
	ErrorBadRequest = 3 // the payload is not what the route takes
	ErrorBusy       = 4 // too much is going on; try again later
	ErrorNotJoined  = 5 // the route belongs to a room that the player is not in
	ErrorRefused    = 6 // the room said no: it is closed
	ErrorReset      = 7 // made by the client: the session was reset or ended before the answer
	ErrorFull       = 8 // the room has no free seat
	ErrorInRoom     = 9 // the player is in another room, or on its way into one

	GameError = 1000
)

// Error is a failure with a code, as a FAILURE packet carries it.
type Error struct {
	Code uint32
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("lifeline: %s (code %d)", e.Text, e.Code) }

// BadRequest makes of an error of DecodeBody the FAILURE that its sender is told:
// ErrorBadRequest, with what does not fit and where, and without the names of Go
// types.
func BadRequest(err error) *Error {
	text := strings.TrimPrefix(err.Error(), "codec: ")
	var m *misfit
	if errors.As(err, &m) {
		text = "payload does not fit: " + m.at + m.what
	}
	return &Error{Code: ErrorBadRequest, Text: text}
}
