// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// settleLocked lets the core do what is due and does what it says. Everything
// that happens ends with it.
func (c *Client) settleLocked() {
	now, wall := c.clock.both()
	if l := c.link; l != nil {
		in := l.conn.lastIn()
		l.heard = max(l.heard, in)
		c.core.Carried(in)
		if l.deaf { // the app keeps us from reading
			c.core.Unread(now)
		}
	}
	if c.silentAtLocked() <= now {
		c.brokeLocked(now, errSilent)
	}
	for again := true; again; {
		again = false
		switch c.core.Check(now, wall) {
		case session.Cut:
			if l := c.link; l != nil && !l.opened && !l.told {
				c.attempt.failed(linkCause(l.way.address, l.heard > 0, nil))
			}
			c.changesLocked()
			c.partLocked(now)
			again = true
		case session.Dial:
			c.wantDial = true
			c.dialGen++
		}
	}
	c.changesLocked()
	if c.attempt.over(c.core.State()) {
		c.inbox.pushState(Event{Kind: EventFailed, Err: c.attempt.why(), Delay: max(c.core.Due()-now, 0)})
		c.work.Signal()
	}
	if c.closing {
		c.idle.Broadcast() // something may be acknowledged
	}
	if c.inbox.blockedAt() <= now {
		c.inbox.releaseAll()
	}
	c.pumpLocked(now)
	if c.wantDial || c.core.State() == session.Ended || c.dueLocked() < c.armed {
		c.wakeRun()
	}
}

// wakeRun makes run look again.
func (c *Client) wakeRun() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// dueLocked returns when run has to look again.
func (c *Client) dueLocked() time.Duration {
	return min(c.core.Due(), c.silentAtLocked(), c.inbox.blockedAt(), c.silent.due())
}

// silentAtLocked is when the present link will have been silent for too long.
func (c *Client) silentAtLocked() time.Duration {
	l := c.link
	if l == nil || l.opened || l.heard > 0 || l.way.silent == 0 {
		return session.Never
	}
	return l.since + l.way.silent
}

// run is the goroutine that keeps the time and dials. It ends when the session
// has, by Close or by the server.
func (c *Client) run() {
	// The timer wakes run like all else does, and is never due at once: such a timer,
	// and a late one that a select waits for, runs on the goroutine that meets it. In a
	// test with virtual time two of them at once crash Go's race detector.
	timer := time.AfterFunc(1, c.wakeRun)
	defer timer.Stop()
	for {
		c.mu.Lock()
		c.settleLocked()
		now := c.clock.now()
		c.silent.expire(now)
		dial, ended := c.wantDial, c.core.State() == session.Ended
		c.armed = c.dueLocked()
		timer.Reset(max(c.clock.real(c.armed-now), 1))
		c.mu.Unlock()
		switch {
		case ended:
			c.end()
			return
		case dial:
			c.dial()
			continue
		}
		<-c.wake
	}
}

// end waits for the links, whose goodbyes are bounded, and lets deliver end.
func (c *Client) end() {
	c.running.Wait()
	c.mu.Lock()
	for len(c.silent) > 0 {
		c.silent.drop()
	}
	c.finishLocked()
	c.mu.Unlock()
	close(c.quiet)
}

// dial tries the addresses once each, from the preferred one on, until one
// answers.
func (c *Client) dial() {
	c.mu.Lock()
	if c.wantDial = false; c.core.State() != session.Dialing {
		c.mu.Unlock()
		return
	}
	gen, all, conv := c.dialGen, c.ways.next(c.core.Address(), c.clock.now()), uint32(c.random.number())
	ask := c.core.LogsInAnew(c.clock.now()+ticketAhead) && c.tickets.due()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	c.undial = cancel
	var resume resumption
	resume.id, resume.key, resume.ok = c.core.SealKey()
	c.mu.Unlock()
	if ask && c.freshTicket(ctx) != nil {
		all = nil
	}
	for i, w := range all {
		if ctx.Err() != nil {
			break
		}
		nc, err := open(ctx, &c.dialer, w, conv+uint32(i), resume)
		if err != nil && ctx.Err() == nil {
			c.cfg.logger().Debug("client: dial failed", "addr", w.String(), "error", err)
		}
		if c.dialled(gen, w, nc, err) {
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dialGen == gen {
		c.undial = nil
		c.core.LinkDown(c.clock.now()) // ignored if the core does not dial any more
		c.settleLocked()
	}
}

// dialled takes the result of one attempt. It reports false if another one is
// to follow.
func (c *Client) dialled(gen uint64, w way, nc conn, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Dials++
	wanted := c.dialGen == gen && c.core.State() == session.Dialing // neither paused nor closed meanwhile
	if err != nil {
		c.stats.Failures++
		if wanted {
			c.attempt.failed(dialCause(w.address, err))
			c.ways.failed(w.index)
		}
		return false
	}
	if !wanted {
		nc.close()
		return true
	}
	c.undial = nil
	now, wall := c.clock.both()
	l := &link{c: c, conn: nc, way: w, since: now, kick: make(chan struct{}, 1), over: make(chan struct{})}
	c.link = l
	c.core.LinkUp(now, wall, w.carrier == carrierPlainKCP)
	switch k := nc.(type) {
	case *sealedConn:
		c.sealedUpLocked(l, k, now)
	case *stcpConn:
		c.core.Greeted(k.version, k.nonce, now)
	}
	c.running.Add(2)
	go l.read()  // ends with the connection
	go l.write() // ends when the link is over
	c.settleLocked()
	return true
}
