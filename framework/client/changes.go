// SPDX-License-Identifier: MIT

package client

import "github.com/lifeline-go/lifeline/session"

// changesLocked takes over what the core says became of the session.
func (c *Client) changesLocked() {
	were := c.routes // by which what comes back names its own
	c.routes = were.of(c.core.Routes())
	for _, ch := range c.core.Changes() {
		s := Event{Undelivered: were.messages(ch.Undelivered)}
		if ch.Err != nil {
			if ch.Err.Code == session.LinkLost && ch.Err.Text == "" && c.attempt.last != nil {
				ch.Err.Text = c.attempt.last.Error()
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
			s.Kind, s.restart = EventReset, ch.Restart
			c.stats.Resets++
			c.failCallsLocked("the session was reset before the answer came")
			c.openedLocked()
		case session.Lost:
			s.Kind = EventLost
			c.stats.Losses++
			if ch.Stuck && c.link != nil {
				c.ways.failed(c.link.way.index) // another address may do better
			}
		case session.Moving:
			s.Kind, s.Delay = EventMoving, ch.Delay
		case session.PutOff:
			s.Kind, s.Delay = EventRefused, ch.Delay
			c.attempt.told = true
		case session.Ending:
			s.Kind = EventGone
			c.ended++
			c.failCallsLocked("the session ended before the answer came")
			if c.core.State() == session.Ended {
				s.Kind = EventClosed
				c.err = s.Err
			}
		}
		c.inbox.pushState(s)
		c.work.Signal()
	}
}

func (c *Client) openedLocked() {
	c.attempt.over(session.Open) // the link may end before that is looked at
	if l := c.link; l != nil {
		l.opened = true
		c.dialer.names.opened(true)
		c.ways.worked(l.way.index, c.clock.now())
	}
	if !c.wasUp {
		c.wasUp = true
		close(c.up)
	}
}
