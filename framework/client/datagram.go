// SPDX-License-Identifier: MIT

package client

import (
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// sealedUpLocked begins to use a sealed link, whose GREETING was its handshake.
func (c *Client) sealedUpLocked(l *link, k *sealedConn, now time.Duration) {
	newest := make(map[uint32]uint64) // by route, of this link
	k.s.mu.Lock()
	k.s.beside = func(number uint64, frames []byte) { c.beside(l, number, frames, newest) }
	k.s.mu.Unlock()
	c.core.Greeted(k.s.version, k.s.nonce, now)
}

// beside takes frames that came outside of the stream. They may overtake
// everything in it, even the WELCOME; the newest of a route is the one with the
// highest number of its datagram.
func (c *Client) beside(l *link, number uint64, frames []byte, newest map[uint32]uint64) {
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
			if last, ok := newest[r.Number()]; ok && number <= last {
				continue
			}
			newest[r.Number()] = number
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
