// SPDX-License-Identifier: MIT

package client

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// newest has, for each route of a link, the number of the datagram that brought the last
// message: the highest is the newest.
type newest map[uint32]uint64

// take reports whether a message is newer than all that came on its route.
func (n newest) take(route uint32, number uint64) bool {
	if last, ok := n[route]; ok && number <= last {
		return false
	}
	n[route] = number
	return true
}

// sealedUpLocked begins to use a sealed link, whose GREETING was its handshake.
func (c *Client) sealedUpLocked(l *link, k *sealedConn, now time.Duration) {
	newest := newest{}
	k.s.mu.Lock()
	k.s.frames = func(number uint64, frames []byte) { c.datagram(l, number, frames, newest) }
	k.s.mu.Unlock()
	c.core.Greeted(k.s.version, k.s.nonce, now)
}

// datagram takes frames that came outside of the stream. They may overtake
// everything in it, even the WELCOME.
func (c *Client) datagram(l *link, number uint64, frames []byte, newest newest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.now()
	for len(frames) > 0 && c.link == l && c.core.State() == session.Open {
		p, n, err := codec.ParseFrame(frames, codec.DefaultMaxBody)
		if err != nil || n == 0 {
			break // not what a server sends; the stream goes on
		}
		frames = frames[n:]
		switch p.Kind {
		case codec.Datagram:
			r, _, err := codec.ParseMessage(p.Body)
			if err != nil || !r.IsNumber() || int(r.Number()) >= len(c.core.Routes()) {
				continue
			}
			if !newest.take(r.Number(), number) {
				continue
			}
		case codec.Heartbeat:
			if _, err := c.core.ReceiveDatagram(p, now); err != nil {
				c.brokeLocked(now, err)
			}
			continue
		default:
			continue
		}
		if err := c.packetLocked(p, now); err != nil && c.link == l {
			c.brokeLocked(now, err)
		}
	}
	c.settleLocked()
}
