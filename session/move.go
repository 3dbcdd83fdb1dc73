// SPDX-License-Identifier: MIT

package session

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// AppendMove appends the MOVE that announces when the server lets this client
// go, and where to: SPEC 3.11.
func AppendMove(dst []byte, delay time.Duration, address string) []byte {
	return appendControl(dst, codec.Move, &moveBody{millis(delay), address})
}

// Settle asks the client to hold and to answer once more, so that whatever it
// has written is in before its link ends for good: SPEC 14.1.
func (s *Session) Settle() {
	s.hold(true)
	s.questionOpen, s.pingOpen, s.pingDue = false, false, true // the answer to an older question would not say so
}

// Answered reports whether the client has answered since Settle: nothing that it
// wrote before is on its way.
func (s *Session) Answered() bool { return !s.pingDue && !s.pingOpen }

// Settled reports whether, since Settle, both ends have all that was written
// and know it. False may mean that an acknowledgement is due: see Wants.
func (s *Session) Settled() bool {
	if s.unacked > 0 {
		s.ackDue = true
	}
	return s.Answered() && s.out.len() == 0 && !s.ackDue && !s.holdDue
}

// move takes a MOVE.
func (c *Client) move(p codec.Packet, now time.Duration) error {
	var b moveBody
	if err := decodeControl(p, &b); err != nil {
		return err
	}
	delay := min(fromMillis(b.Delay), maxWait)
	c.moveTo, c.moveAt = b.Address, now+delay
	c.changes = append(c.changes, Change{Kind: Moving, Delay: delay, Address: b.Address})
	return nil
}

// moved reports whether the time of a MOVE has come, and goes where it leads: the link
// has ended, whatever ended it.
func (c *Client) moved(now time.Duration) bool {
	due := c.moveTo != "" && now >= c.moveAt
	if due {
		c.at = c.moveTo
	}
	c.moveTo = ""
	return due
}
