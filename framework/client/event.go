// SPDX-License-Identifier: MIT

package client

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// EventKind is what became of a session.
type EventKind uint8

// Their usual order is Opened (Lost (Resumed | Reset | Gone Opened))* Closed,
// with any number of Failed and Refused where the client tries to get in.
const (
	// Opened: a new session. After Gone it is another one.
	EventOpened EventKind = iota + 1
	// Lost: the link is gone and the client is coming back; Err tells why.
	// Send and Request go on working: what they take waits.
	EventLost
	// Resumed: the session is back. Nothing was lost and nothing comes twice.
	EventResumed
	// Reset: the session is back, but what the server sent meanwhile is lost:
	// expect a snapshot. Requests without an answer have failed. If its server has
	// crashed, the client joins its rooms again by itself: see Room.OnJoined. An app
	// that ended before it was let in, and came back by Config.Token, is in no room: join
	// here, too. To join the room that the client is in changes nothing.
	EventReset
	// Gone: the session is over and the client logs in anew; Err tells why.
	EventGone
	// Closed: the client has ended for good. It is the last event.
	EventClosed
	// Moving: the server stops, or sheds load, and lets this client go after
	// Delay. Nothing changes until then, and then the client comes back by
	// itself, at the address that the server told. Comes while a link is up.
	EventMoving
	// Refused: the server said no for now, as when it is full: Err has its code,
	// CodeBusy mostly, and its text. The client asks again by itself, after
	// Delay. Comes while no link is up, before Opened too.
	EventRefused
	// Failed: an attempt to reach the server failed in another way: no address
	// answered, or there was no ticket. Err tells why, address by address. The
	// next attempt follows after Delay, or at once by Hurry.
	EventFailed
)

var kindNames = [...]string{"none", "opened", "lost", "resumed", "reset", "gone", "closed", "moving", "refused", "failed"}

// String returns the kind's name.
func (k EventKind) String() string { return kindNames[k] }

// Event is one step in the life of a session.
type Event struct {
	Kind EventKind
	// Err tells why: with Lost, Reset, Gone, Closed and Refused a
	// *CloseError, with Failed any error.
	Err error
	// Undelivered is, with Gone and Closed, what was sent and never accepted by
	// the server as far as the client knows. It is not sent again. With Opened
	// it is what was sent before and is larger than this server takes. With Reset
	// it is what a server that crashed may have handled, or not, when another one
	// goes on with the session: mostly there is none.
	Undelivered []Message
	// Delay is, with Moving, how long the server still serves this client; with
	// Refused and Failed, how long it is until the next attempt.
	Delay time.Duration

	restart bool // Reset: the server of the session was lost
}

// Message is something that was sent.
type Message struct {
	Route   string
	Payload codec.Raw
	Request bool
}
