// SPDX-License-Identifier: MIT

package client

import (
	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// What an app needs of the packages below, so that it imports framework/client
// only. Each is an alias.
type (
	// ID names a session.
	ID = session.ID
	// Code says why a link or a session ended.
	Code = session.Code
	// CloseError is the end of a link or a session as an error.
	CloseError = session.CloseError
	// ErrorCode says why a request failed.
	ErrorCode = codec.ErrorCode
	// Error is the failure of a request.
	Error = codec.Error
	// Raw is a payload that is encoded already, or that is not decoded.
	Raw = codec.Raw
)

// The close codes: session/SPEC.md 9. Below 100 only the link is gone, and the
// client resumes. From 100 on the session is gone, and the client logs in. From
// 200 on the client stays away. From CodeGame on they are the game's own.
const (
	CodeLinkLost       = session.LinkLost       // the carrier broke, or nothing came back in time
	CodeProtocol       = session.Protocol       // the link carried something no correct peer sends
	CodeGap            = session.Gap            // the link lost a counted packet
	CodeSlowReader     = session.SlowReader     // the peer did not read what was sent to it
	CodeOverloaded     = session.Overloaded     // the peer went on sending although it was held
	CodeOpeningTimeout = session.OpeningTimeout // the link opened no session in time
	CodeBusy           = session.Busy           // come back after the time told
	CodeShuttingDown   = session.ShuttingDown   // the server drains
	CodeMoved          = session.Moved          // the session lives at another server
	CodeUnsealed       = session.Unsealed       // the session goes on over sealed links only

	CodeUnknown      = session.Unknown      // no such session, or no valid proof of it
	CodeGone         = session.Gone         // it has ended
	CodeExpired      = session.Expired      // its client did not come back within the grace
	CodeStale        = session.Stale        // a later attempt of the same player won
	CodeOverflow     = session.Overflow     // its buffer overflowed again and again
	CodeTooOld       = session.TooOld       // older than the longest life of a session
	CodeLeft         = session.Left         // the player left
	CodeInternal     = session.Internal     // the server failed it
	CodeInconsistent = session.Inconsistent // the counts of client and server contradict each other

	CodeKicked    = session.Kicked
	CodeBanned    = session.Banned
	CodeTakenOver = session.TakenOver // the same user logged in elsewhere
	CodeVersion   = session.Version   // the two ends speak different protocols
	CodePolicy    = session.Policy    // a rule was broken, as by a flood
	CodeDenied    = session.Denied    // the game refused the ticket, without a code of its own
	CodeOutdated  = session.Outdated  // the app is too old; the text is where to get a newer one
	CodeAlreadyIn = session.AlreadyIn // another session of the user has a link

	// Why a client is out of a room while its session goes on: the code of a Reason.

	CodeRoomFinished Code = 300 // the room has finished
	CodeRoomEmpty    Code = 301 // nobody is left in it
	CodeRoomMoved    Code = 302 // the client is in another room of the type
	CodeRoomRemoved  Code = 303 // the server has taken the client out
	// CodeRoomLost: the room's server has crashed, and the room did not let the client in
	// again. The text says why. No server tells it.
	CodeRoomLost Code = 304

	CodeGame = session.Game // the first of the game's own
)

// The codes of failed requests: codec/SPEC.md 6.3. From GameError on they are the
// game's own.
const (
	ErrorInternal   = codec.ErrorInternal   // the handler failed; the log of its side has the reason
	ErrorNoRoute    = codec.ErrorNoRoute    // the route has no handler, or there is no such room type
	ErrorBadRequest = codec.ErrorBadRequest // the payload is not what the route takes
	ErrorBusy       = codec.ErrorBusy       // too much is going on; try again later
	ErrorNotJoined  = codec.ErrorNotJoined  // the route belongs to a room that the player is not in
	ErrorRefused    = codec.ErrorRefused    // the room lets no player in any more
	ErrorReset      = codec.ErrorReset      // the session was reset or ended before the answer
	ErrorFull       = codec.ErrorFull       // the room has no free seat
	ErrorInRoom     = codec.ErrorInRoom     // the player is in another room, or on its way into one

	GameError = codec.GameError // the first of the game's own
)

// The errors that a client returns as they are: use errors.Is.
var (
	ErrClosed = session.ErrClosed // the client, or the session of a message, has ended
	ErrFull   = session.ErrFull   // more is sent than the session may hold unacknowledged
)
