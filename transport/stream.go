// SPDX-License-Identifier: MIT

package transport

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
)

// streamLink is a Link on a byte stream, with all that its carriers have in common, in
// one allocation. Owned by the loop.
type streamLink struct {
	Link
	stream backend.Stream
	out    []byte // written in this batch
	need   int    // inbound bytes before the next look is worth it
	left   int    // inbound bytes that the last look left behind
	place  int    // index in Loop.streams
	lookAt time.Duration
	wait   time.Duration // how long the last look was put off
	shut   bool          // CloseWrite was called

	pending *pendingConn // until OnOpen, if the peer has to say something first
}

// openStream makes a link of a connection. It returns nil when there is no
// room; the backend closes the connection then.
func (l *Loop) openStream(c Carrier, s backend.Stream, from netip.AddrPort) streamConn {
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	conn := l.accepts[c]()
	proxy := l.t.cfg.trusts(from.Addr())
	waits := proxy || conn.asks()
	if l.stopping || !waits && !l.t.admission.acquire(c, from.Addr(), l.now, false) {
		return nil
	}
	k := conn.base()
	k.self, k.loop, k.carrier, k.addr, k.received, k.state = conn, l, c, from, l.now, stateValidated
	k.stream, k.lookAt, k.place = s, Never, len(l.streams)
	l.streams = append(l.streams, k)
	if waits {
		k.addPending(proxy)
	} else {
		k.opened([16]byte{})
	}
	return conn
}

func (k *streamLink) base() *streamLink { return k }

// opened hands a link up, which has been acquired for its address.
func (k *streamLink) opened(nonce [16]byte) {
	k.loop.t.admission.carriers[k.carrier].opened.Add(1)
	k.loop.callOpen(&k.Link, nonce)
}

func (k *streamLink) waiting() int { return len(k.out) + k.stream.OutboundBuffered() }

func (k *streamLink) write(frames []byte) bool {
	k.out = k.loop.bufs.append(k.out, frames)
	return true
}

func (k *streamLink) writeDatagram([]byte) bool { return false }

func (k *streamLink) validate() {}

func (k *streamLink) finish(uint16, bool) time.Duration { return finishTime }

func (k *streamLink) deadline(time.Duration) time.Duration {
	if k.waits() {
		return min(k.lookAt, k.pending.until)
	}
	return k.lookAt
}

func (k *streamLink) due() {
	switch {
	case !k.waits():
		k.loop.touch(&k.Link) // flush looks after the stream
	case k.pending.until > k.loop.now:
	case k.pending.excuse():
	default:
		k.loop.stats.openingTimeouts.Add(1)
		k.Close(errOpeningTimeout)
	}
}

// What a carrier does that has no words of its own: see streamConn.

func (k *streamLink) proxyMay() bool            { return false }
func (k *streamLink) refuse(backend.Inbound)    { k.Close(errTooManyLinks) }
func (k *streamLink) bye(backend.Stream, error) {}

func (k *streamLink) partial() int       { return k.left }
func (k *streamLink) malformed(error)    {}
func (k *streamLink) rtt() time.Duration { return k.stream.RTT() }
func (k *streamLink) stats(*LinkStats)   {}

// leave takes a closed link out of the loop and ends its connection, with the last
// words of c.
func (k *streamLink) leave(c streamConn, err error) {
	l := k.loop
	k.removePending()
	last := len(l.streams) - 1
	moved := l.streams[last]
	l.streams[k.place] = moved
	moved.place = k.place
	l.streams[last] = nil
	l.streams = l.streams[:last]
	l.bufs.put(k.out)
	k.out = nil
	s := k.stream
	k.stream = gone{}
	if k.state&stateOpened != 0 {
		l.t.admission.release(k.carrier, k.addr.Addr(), true)
		if !k.shut {
			c.bye(s, err)
		}
	}
	s.End()
}

// gone stands for the stream of a closed link: the descriptor behind the real
// one may belong to another connection by now.
type gone struct{}

func (gone) Write(p []byte) (int, error) { return len(p), nil }
func (gone) OutboundBuffered() int       { return 0 }
func (gone) CloseWrite() bool            { return false }
func (gone) RTT() time.Duration          { return 0 }
func (gone) End()                        {}

// arrived looks at what has arrived for c, which is k as its carrier has it.
func (k *streamLink) arrived(c streamConn, in backend.Inbound) {
	k.loop.begin()
	k.input(c, in)
	k.loop.end()
}

func (k *streamLink) input(c streamConn, in backend.Inbound) {
	l := k.loop
	defer l.guard(&k.Link)
	n := in.InboundBuffered()
	k.in += uint64(n - k.left)
	k.left = n
	if k.pending != nil && !k.deaf() && !k.open(c, in) {
		l.notePartial(&k.Link, false)
		return
	}
	packets := l.stats.packets
	if k.deaf() {
		k.take(in, k.left)
	} else if k.left > 0 {
		c.data(in, k.left)
	}
	l.notePartial(&k.Link, l.stats.packets != packets)
}

// take consumes n bytes of what has arrived.
func (k *streamLink) take(in backend.Inbound, n int) {
	if n > 0 && k.stream != backend.Stream(gone{}) {
		_, _ = in.Discard(n)
		k.left -= n
	}
}

// writeNow writes ahead of the batch's output: what the carrier itself says.
func (k *streamLink) writeNow(b []byte) {
	k.sent += uint64(len(b))
	if _, err := k.stream.Write(b); err != nil {
		k.Close(err)
	}
}

// Closed is told by the backend when a connection is gone.
func (k *streamLink) Closed(s backend.Stream, err error) bool {
	if k.stream != s {
		return false // the link closed it
	}
	k.loop.begin()
	defer k.loop.end()
	switch {
	case k.state&stateFinishing != 0:
		err = ErrFinished
	case err == nil || errors.Is(err, io.EOF):
		err = io.EOF
	}
	k.stream = gone{}
	k.Close(err)
	return true
}

// flushAs writes what the batch collected, as c packs it, and looks after a stream that
// is waited for: gnet does not tell when a socket takes more again. It returns true, as
// flush does: a stream takes all.
func (k *streamLink) flushAs(c streamConn) bool {
	l := k.loop
	if len(k.out) > 0 {
		out := k.out
		k.out = nil
		k.writeNow(c.pack(out))
		l.bufs.put(out)
		k.wait = 0
	}
	if k.state&stateClosed != 0 {
		return true
	}
	k.lookAt = Never
	waiting := k.stream.OutboundBuffered()
	switch {
	case k.state&stateFinishing != 0 && waiting == 0:
		// The peer closes next. Closing first, with its bytes unread, would
		// reset the connection and could destroy what was sent last.
		if !k.shut {
			k.shut = true
			if k.state&stateOpened != 0 {
				c.bye(k.stream, ErrFinished)
			}
			if !k.stream.CloseWrite() {
				k.Close(ErrFinished)
			}
		}
	case k.state&stateStarved != 0 && k.half():
		l.writable = append(l.writable, &k.Link) // told in the next batch, which follows at once
	case k.state&(stateStarved|stateFinishing) != 0:
		k.wait = min(max(2*k.wait, minRetry), maxRetry)
		k.lookAt = l.now + k.wait
		l.timers.schedule(&k.Link, k.lookAt)
	}
	return true
}
