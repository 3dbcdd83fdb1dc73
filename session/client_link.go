// SPDX-License-Identifier: MIT

package session

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// LinkUp records that the dialled link is up. knock says that its server
// stays silent until it has heard a heartbeat (plain KCP: SPEC 2.2).
func (c *Client) LinkUp(now time.Duration, wall time.Time, knock bool) {
	if c.state != Dialing {
		// The client does not wait for it any more. A link in use stays.
		c.cut = c.cut || c.state != Opening && c.state != Open
		return
	}
	c.state, c.greeted, c.knock, c.knockAt = Opening, false, knock, now
	c.openBy = now + c.cfg.OpeningTimeout
	c.attempt = max(c.attempt+1, uint64(max(wall.UnixMicro(), 0)))
	c.ctl = c.ctl[:0]
}

// LinkDropped tells that the app itself left the link. That says nothing about
// the network: the next attempt is soon.
func (c *Client) LinkDropped(now time.Duration) {
	c.tries = 0
	c.linkDown(now, false)
}

// LinkDown tells that the link broke or could not be opened. It reports whether another
// address may do better, as Change.Stuck does.
func (c *Client) LinkDown(now time.Duration) (stuck bool) {
	stuck = c.brokenOpen()
	c.linkDown(now, stuck)
	return stuck
}

func (c *Client) linkDown(now time.Duration, stuck bool) {
	switch c.state {
	case Dialing, Opening, Open:
		c.down(now, &CloseError{Code: LinkLost}, 0, stuck)
	}
}

// pathOpen reports that something arrived so long after a question that is open was sent:
// the path is open, and the stream does not move.
func (c *Client) pathOpen(since time.Duration) bool {
	return c.state == Open && c.questionOpen && max(c.lastRecv, c.carriedAt)-c.pingSentAt >= since
}

// brokenOpen is pathOpen for a link that others have ended: an answer may have been on its
// way.
func (c *Client) brokenOpen() bool { return c.pathOpen(c.params.Timeout / 2) }

// backoff is the pause before the next attempt: full jitter over a time that
// doubles, and is spread at least. SPEC 8.2.
func (c *Client) backoff(spread time.Duration) time.Duration {
	d := c.cfg.MaxDelay
	if d>>min(c.tries, 62) > c.cfg.MinDelay {
		d = c.cfg.MinDelay << c.tries
	}
	return c.below(max(d, spread))
}

// down leaves the link, whatever state it was in, and plans the next one.
func (c *Client) down(now time.Duration, why *CloseError, spread time.Duration, stuck bool) {
	was := c.state
	c.state, c.probeBy = Waiting, Never
	c.ctl = c.ctl[:0]
	moved := false
	if was == Open {
		moved = c.moved(now)
		if now-c.openedAt >= c.params.Timeout {
			c.tries = 0
		}
		c.changes = append(c.changes, Change{Kind: Lost, Err: why, Stuck: stuck})
	}
	c.dialAt = now + c.backoff(spread)
	c.tries++
	if moved && spread == 0 {
		c.follow(now) // only the BYE{MOVED} is missing
	}
}

// Servers that name each other send a client to and fro: SPEC 8.3, 8.9. One that drains may
// name one that has just died, for as long as its own kind takes to find that out.
const (
	followedAtOnce = 2 // REFUSED{MOVED} since the session was last open
	maxReferrals   = 8 // further ones are failed resumes
)

// follow has the client dial at once where its server sent it. That server answered,
// so this is no attempt that failed: SPEC 8.9.
func (c *Client) follow(now time.Duration) {
	c.dialAt = now
	c.tries-- // down counted it
}

// failed counts a RESUME that was answered, but not taken. A link that died
// before its answer says nothing about the session: SPEC 8.3.
func (c *Client) failed() {
	if c.failures++; c.failures >= 3 {
		c.gone(&CloseError{Code: Unknown, Text: "three resumes failed"}, 0)
	}
}

// giveUpLate ends a session that the server must have given up by now. Only
// the monotonic clock may say so: the wall clock may have been set, and asking
// a server that has forgotten us costs one round trip (SPEC 8.6).
func (c *Client) giveUpLate(now time.Duration) {
	if c.have && c.everUp && c.state != Open && now-c.lastRecv > c.params.Timeout+c.params.Grace {
		c.gone(&CloseError{Code: Expired, Text: "no server could be reached for the whole grace"}, 0)
	}
}

// gone gives up the session: the next link logs in. final is how much the
// server had accepted at the end, as far as it is known.
func (c *Client) gone(why *CloseError, final uint64) {
	if final <= c.wrote && final > c.acked {
		c.trim(c.pool, final)
	}
	ch := Change{Kind: Ending, Err: why}
	for c.out.len() > 0 {
		ch.Undelivered = append(ch.Undelivered, c.out.popCopy(c.pool))
	}
	c.acked, c.wrote, c.sent, c.next, c.recv, c.inFlight = 0, 0, 0, 1, 0, 0
	c.numbers = false
	c.have, c.fresh, c.everUp, c.failures, c.retried, c.epoch = false, false, false, 0, false, 0
	c.id, c.key, c.seal, c.asked, c.at = ID{}, Key{}, Key{}, false, ""
	c.changes = append(c.changes, ch)
}

// finish ends the client for good.
func (c *Client) finish(why *CloseError) {
	c.gone(why, 0)
	c.state, c.cut, c.ctl = Ended, true, c.ctl[:0]
}

// Due returns when Check has something to do.
func (c *Client) Due() time.Duration {
	switch c.state {
	case Waiting:
		return c.dialAt
	case Opening:
		if c.knock && !c.greeted {
			return min(c.openBy, c.knockAt)
		}
		return c.openBy
	case Open:
		return min(c.lastRecv+c.params.Timeout, c.beatAt(), c.probeBy)
	}
	return Never
}

// beatAt is when the next heartbeat is due: an interval after the last time
// anything was received, or sent, whichever is longer ago.
func (c *Client) beatAt() time.Duration {
	if c.pingDue {
		return Never
	}
	// Asked already in this silence: the next interval begins there.
	return max(min(c.lastRecv, c.lastSent), c.pingAt) + c.beatEvery
}

// Check does what is due and says what the owner of the socket must do. Call
// it after everything else that happens and when Due has come.
func (c *Client) Check(now time.Duration, wall time.Time) Action {
	slept := !c.wall.IsZero() && wall.Sub(c.wall)-(now-c.checked) > 2*time.Second
	// Output, too, may have moved what is due further away.
	late := c.due != Never && now-max(c.due, c.Due()) > lateLimit
	if c.state == Open && (slept || late) {
		// The device slept, its clock was set, or we stood still with answers
		// still unread: ask before believing anything.
		c.forgiveSilence(now, c.params.Timeout, 2*probeLimit)
		c.probe(now)
	}
	c.checked, c.wall = now, wall
	action := c.check(now)
	c.due = c.Due()
	return action
}

// lateLimit is how late a Check may come before its caller stood still.
const lateLimit = time.Second

func (c *Client) check(now time.Duration) Action {
	switch c.state {
	case Opening:
		c.checkOpening(now)
	case Open:
		c.checkOpen(now)
	}
	switch {
	case c.cut:
		c.cut = false
		return Cut
	case c.state == Waiting && now >= c.dialAt:
		c.giveUpLate(now)
		c.state = Dialing
		return Dial
	}
	return Wait
}

func (c *Client) checkOpening(now time.Duration) {
	if now >= c.openBy {
		c.cut = true
		c.down(now, nil, 0, false)
		return
	}
	if c.knock && !c.greeted && now >= c.knockAt {
		c.knockAt = now + 500*time.Millisecond
		c.ctl = codec.AppendFrame(c.ctl, codec.Header{Kind: codec.Heartbeat}, nil)
	}
}

func (c *Client) checkOpen(now time.Duration) {
	silent, stuck := c.lastRecv+c.params.Timeout <= now || c.probeBy <= now, c.stuck(now, c.params.Timeout)
	if silent || stuck {
		stuck = stuck || c.pathOpen(1)
		c.cut = true
		c.down(now, &CloseError{Code: LinkLost, Text: "nothing came back in time"}, 0, stuck)
		return
	}
	if now >= c.beatAt() {
		c.pingDue = true
		c.beatEvery = c.params.Interval*9/10 + c.below(c.params.Interval/5)
	}
}
