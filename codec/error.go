// SPDX-License-Identifier: MIT

package codec

import (
	"fmt"
	"strconv"
)

// ErrorCode says why a request failed: SPEC 6.3. Codes below GameError belong to
// the framework, the others to the game.
type ErrorCode uint32

// The codes of the framework.
const (
	ErrorInternal   ErrorCode = 1 // the handler failed; the log of its side has the reason
	ErrorNoRoute    ErrorCode = 2 // the route has no handler, or there is no such room type
	ErrorBadRequest ErrorCode = 3 // the payload is not what the route takes
	ErrorBusy       ErrorCode = 4 // too much is going on; try again later
	ErrorNotJoined  ErrorCode = 5 // the route belongs to a room that the player is not in
	ErrorRefused    ErrorCode = 6 // the room lets no player in any more
	ErrorReset      ErrorCode = 7 // never on the wire: the session was reset or ended before the answer
	ErrorFull       ErrorCode = 8 // the room has no free seat
	ErrorInRoom     ErrorCode = 9 // the player is in another room, or on its way into one

	// GameError is the first of the codes that belong to the game.
	GameError ErrorCode = 1000
)

var errorNames = [...]string{
	ErrorInternal: "internal", ErrorNoRoute: "no route", ErrorBadRequest: "bad request", ErrorBusy: "busy",
	ErrorNotJoined: "not joined", ErrorRefused: "refused", ErrorReset: "reset", ErrorFull: "full", ErrorInRoom: "in room",
}

// String returns the name of SPEC 6.3 in lower case, or "code" and the number.
func (c ErrorCode) String() string {
	if c > 0 && c < ErrorCode(len(errorNames)) {
		return errorNames[c]
	}
	return "code " + strconv.FormatUint(uint64(c), 10)
}

// Error is the failure of a request, as a FAILURE packet carries it. Use
// errors.As to find one.
type Error struct {
	Code ErrorCode
	Text string // for people to read
}

func (e *Error) Error() string { return fmt.Sprintf("lifeline: %s (code %d)", e.Text, e.Code) }
