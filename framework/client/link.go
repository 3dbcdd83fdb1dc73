// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// link is a connection that the core was told of. Guarded by Client.mu, except
// for out, which belongs to the writer while busy.
type link struct {
	c      *Client
	conn   conn
	way    way
	opened bool
	told   bool          // that it did not open is not the address's fault
	since  time.Duration // when it was dialled
	heard  time.Duration // when anything last came, were it only the carrier's own
	deaf   bool          // the reader waits for the inbox
	busy   bool          // the writer has something to write
	out    []byte
	kick   chan struct{} // 1 deep: busy was set
	over   chan struct{} // closed when the core has left the link
	last   []byte        // to be written after it is over: a goodbye
	late   *time.Timer   // ends the writing of last
}

// --- leaving a link; the core is told by the caller

// leaveLocked takes the link from the core.
func (c *Client) leaveLocked() *link {
	l := c.link
	c.link = nil
	if !l.opened && !l.told {
		c.ways.failed(l.way.index) // try another way
		c.dialer.names.opened(false)
	}
	close(l.over)
	c.space.Broadcast()
	c.idle.Broadcast()
	return l
}

var errCut = errors.New("client: cut")

// abandonLocked leaves the link without a word.
func (c *Client) abandonLocked(now time.Duration) {
	c.link.told = true // our own doing: the address is as good as it was
	l := c.leaveLocked()
	c.attempt.last = errCut
	if l.conn.cut() {
		c.silent.add(l.conn, now+2*c.core.Params().Timeout)
	} else {
		l.conn.close()
	}
	c.core.LinkDropped(now)
}

// partLocked leaves the link with the core's last words, if it has any.
func (c *Client) partLocked(now time.Duration) {
	last := c.core.Output(nil, now, 0)
	if c.link == nil {
		return
	}
	l := c.leaveLocked()
	if len(last) == 0 {
		l.conn.close()
		return
	}
	l.last = last
	// A socket that takes no more must not keep the goodbye, and us, forever.
	l.late = time.AfterFunc(max(c.cfg.closeTimeout(), 20*time.Millisecond), l.conn.close)
}

// brokeLocked leaves a link that failed.
func (c *Client) brokeLocked(now time.Duration, err error) {
	l := c.leaveLocked()
	l.conn.close()
	if c.attempt.last = err; !l.opened && !l.told {
		c.attempt.failed(linkCause(l.way.address, l.heard > 0, err))
	}
	if c.core.LinkDown(now) {
		c.ways.failed(l.way.index) // another address may do better
	}
}

// --- writing

// pullLocked fills the writer's buffer with what is due.
func (l *link) pullLocked(now time.Duration) {
	core := l.c.core
	if k, ok := l.conn.(*sealedConn); ok {
		if l.out = core.OutputDatagram(l.out[:0], now); len(l.out) > 0 {
			k.s.sendDatagram(l.out)
			l.c.stats.BytesOut += uint64(len(l.out))
		}
	}
	l.out = core.Output(l.out[:0], now, chunk)
	if len(l.out) == 0 {
		// Perhaps the next frame alone is larger.
		l.out = core.Output(l.out, now, codec.FrameOverhead+core.Params().MaxBody)
	}
	l.c.stats.BytesOut += uint64(len(l.out))
}

// pumpLocked gives the writer what is due, unless it is writing: then it looks
// for itself.
func (c *Client) pumpLocked(now time.Duration) {
	l := c.link
	if l == nil || l.busy {
		return
	}
	if l.pullLocked(now); len(l.out) > 0 {
		l.busy = true
		l.kick <- struct{}{}
	}
}

// write is the goroutine that writes. It ends when the link is over.
func (l *link) write() {
	c := l.c
	defer c.running.Done()
	for {
		select {
		case <-l.kick:
		case <-l.over:
			select {
			case <-l.kick: // what was pulled stands before the goodbye
				l.writeOnce()
			default:
			}
			l.writeClosing()
			return
		}
		for l.writeOnce() {
		}
	}
}

// writeOnce writes what was pulled and pulls again.
func (l *link) writeOnce() (more bool) {
	c := l.c
	_, err := l.conn.Write(l.out)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l {
		return false
	}
	now := c.clock.now()
	if err != nil {
		c.brokeLocked(now, err)
		c.settleLocked()
		return false
	}
	l.pullLocked(now)
	if l.busy = len(l.out) > 0; !l.busy {
		if cap(l.out) > 2*chunk {
			l.out = nil // a rare large frame
		}
		c.idle.Broadcast()
	}
	return l.busy
}

// writeClosing writes the last words of a link that is over.
func (l *link) writeClosing() {
	l.c.mu.Lock()
	last, late := l.last, l.late
	l.c.mu.Unlock()
	if last == nil {
		return // what left the link closed it, or keeps it open
	}
	l.conn.part(last)
	late.Stop()
	l.conn.close()
}

// --- reading

// read is the goroutine that reads. It ends when the connection does, which
// for a link that is over may be later than for the core.
func (l *link) read() {
	c := l.c
	defer c.running.Done()
	buf, n := make([]byte, 4<<10), 0
	for {
		m, err := l.conn.Read(buf[n:])
		if m > 0 {
			full := n+m == len(buf)
			used, need := c.received(l, buf[:n+m], m)
			n = copy(buf, buf[used:n+m])
			// It grows with what came, not with what a head claims.
			if n == len(buf) || full && len(buf) < chunk {
				size := 2 * len(buf)
				if need > len(buf) {
					size = min(size, need)
				}
				buf = append(make([]byte, 0, size), buf[:n]...)
				buf = buf[:cap(buf)]
			}
		}
		if err != nil {
			c.readFailed(l, err)
			return
		}
	}
}

func (c *Client) readFailed(l *link, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == l {
		c.brokeLocked(c.clock.now(), err)
		c.settleLocked()
	}
}

// received takes the bytes b of a link, fresh of them new. It returns how many
// it used, and how long the frame is that the rest begins.
func (c *Client) received(l *link, b []byte, fresh int) (used, need int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.BytesIn += uint64(fresh)
	now := c.clock.now()
	l.heard = now
	for c.link == l {
		maxBody := max(c.core.Params().MaxBody, codec.DefaultMaxBody)
		p, size, err := codec.ParseFrame(b[used:], maxBody)
		if err == nil && size == 0 {
			need, _ = codec.FrameSize(b[used:], maxBody)
			break
		}
		used += size
		if err == nil && c.endLocked(l, p) {
			c.mu.Unlock()
			_ = c.freshTicket(c.ctx) // without one the core does not log in
			c.mu.Lock()
			if c.link != l {
				break
			}
			now = c.clock.now()
		}
		if err == nil {
			err = c.packetLocked(p, now)
		}
		if err != nil && c.link == l {
			c.brokeLocked(now, err)
		}
		if s := c.core.State(); s != session.Open && s != session.Opening {
			break
		}
	}
	if c.link == l {
		c.core.Saw(now)
	}
	c.settleLocked()
	for c.link == l && c.inbox.deaf(c.calls.Len() > 0) {
		l.deaf = true
		c.space.Wait()
		l.deaf = false
	}
	if c.link != l {
		used, need = len(b), 0
	}
	return used, need
}

// packetLocked takes one packet of the present link.
func (c *Client) packetLocked(p codec.Packet, now time.Duration) error {
	deliver, err := c.core.Receive(p, now)
	c.changesLocked()
	if err != nil || !deliver {
		return err
	}
	c.stats.Received++
	switch p.Kind {
	case codec.Response, codec.Failure:
		c.answerLocked(p)
	case codec.Request:
		c.askedLocked(p)
	case codec.Message:
		c.pushLocked(p)
	case codec.Datagram:
		if !c.inbox.held { // the newest comes again, the next time
			c.pushLocked(p)
		}
	}
	c.holdLocked()
	return nil
}

// endLocked takes note of a packet that ends the link or the session. It reports whether
// the core is about to log in on the same link, for which a ticket is to be fetched.
func (c *Client) endLocked(l *link, p codec.Packet) (login bool) {
	if p.Kind != codec.Refused && p.Kind != codec.Bye {
		return false
	}
	l.told = true
	end, err := session.ParseEnd(p)
	if err != nil {
		return false
	}
	if c.attempt.last = end; !l.opened {
		c.attempt.causes = append(c.attempt.causes, fmt.Errorf("client: %v: %w", l.way, end))
	}
	return c.cfg.Ticket != nil && c.core.LogsInAfter(end)
}

// freshTicket fetches a ticket. mu is not held.
func (c *Client) freshTicket(ctx context.Context) error {
	err := c.tickets.fetch(ctx)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.attempt.failed(err)
	}
	return err
}

// takeTicketLocked gives the core the ticket of another login on the present link.
func (c *Client) takeTicketLocked() (ticket []byte, ok bool) {
	if ticket, ok = c.tickets.take(); !ok && !c.link.told {
		c.link.told = true // the address did what it could
		c.attempt.failed(errTicketUsed)
	}
	return ticket, ok
}
