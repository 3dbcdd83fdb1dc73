// SPDX-License-Identifier: MIT

package client

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// Kind is what became of a session.
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
	// expect a snapshot. Requests without an answer have failed.
	EventReset
	// Gone: the session is over and the client logs in anew; Err tells why.
	EventGone
	// Closed: the client has ended for good. It is the last State.
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

// State is one step in the life of a session.
type Event struct {
	Kind EventKind
	// Err tells why: with Lost, Reset, Gone, Closed and Refused a
	// *CloseError, with Failed any error.
	Err error
	// Undelivered is, with Gone and Closed, what was sent and never accepted by
	// the server as far as the client knows. It is not sent again. With Opened
	// it is what was sent before and is larger than this server takes.
	Undelivered []Message
	// Delay is, with Moving, how long the server still serves this client; with
	// Refused and Failed, how long it is until the next attempt.
	Delay time.Duration
}

// Message is something that was sent.
type Message struct {
	Route   string
	Payload codec.Raw
	Request bool
}

// changesLocked takes over what the core says became of the session.
func (c *Client) changesLocked() {
	for _, ch := range c.core.Changes() {
		s := Event{Undelivered: c.routes.messages(ch.Undelivered)}
		if ch.Err != nil {
			if ch.Err.Code == session.LinkLost && ch.Err.Text == "" && c.lastErr != nil {
				ch.Err.Text = c.lastErr.Error()
			}
			s.Err = ch.Err
		}
		switch ch.Kind {
		case session.Opened:
			s.Kind = EventOpened
			c.stats.Opens++
			c.failTooLargeLocked(ch.Undelivered)
			c.openedLocked()
		case session.Resumed:
			s.Kind = EventResumed
			c.stats.Resumes++
			c.openedLocked()
		case session.WasReset:
			s.Kind = EventReset
			c.stats.Resets++
			c.failCallsLocked("the session was reset before the answer came")
			c.openedLocked()
		case session.Lost:
			s.Kind = EventLost
			c.stats.Losses++
			if ch.Stuck && c.link != nil {
				c.failedLocked(c.link.index) // another address may do better
			}
		case session.Moving:
			s.Kind, s.Delay = EventMoving, ch.Delay
		case session.PutOff:
			s.Kind, s.Delay = EventRefused, ch.Delay
			c.refused = true
		case session.Ending:
			s.Kind = EventGone
			c.ticketFor = 0
			c.ended++
			c.failCallsLocked("the session ended before the answer came")
			if c.core.State() == session.Ended {
				s.Kind = EventClosed
				c.err = s.Err
			}
		}
		c.learnLocked()
		c.inbox.pushState(s)
		c.work.Signal()
	}
}

func (c *Client) openedLocked() {
	if l := c.link; l != nil {
		l.opened = true
		c.placedLocked(true)
		c.workedLocked(l.index, c.clock.now())
	}
	if !c.wasUp {
		c.wasUp = true
		close(c.up)
	}
}

// messages reads what was sent back into what the app sent.
func (d *dictionary) messages(packets []codec.Packet) []Message {
	var list []Message
	for _, p := range packets {
		var r codec.Route
		var payload []byte
		var err error
		switch p.Kind {
		case codec.Message:
			r, payload, err = codec.ParseMessage(p.Body)
		case codec.Request:
			_, r, payload, err = codec.ParseRequest(p.Body)
		default:
			continue
		}
		if err == nil {
			list = append(list, Message{Route: d.name(r), Payload: payload, Request: p.Kind == codec.Request})
		}
	}
	return list
}
