// SPDX-License-Identifier: MIT

package transport

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/internal/backend"
)

// tcpPart is what a Link on a byte stream has besides. Owned by the loop.
type tcpPart struct {
	stream backend.Stream
	out    []byte // written in this batch
	need   int    // inbound bytes before the next look is worth it
	left   int    // inbound bytes that the last look left behind
	place  int    // index in Loop.streams
	lookAt time.Duration
	wait   time.Duration // how long the last look was put off
	shut   bool          // closeWrite was called

	ws      *wsPart      // on a WebSocket: points into the same allocation
	pending *pendingConn // until OnOpen, if the peer has to say something first
}

// tcpLink is a Link and its part in one allocation.
type tcpLink struct {
	Link
	tcpPart
}

// openStream makes a link of a connection. It returns nil when there is no
// room; the backend closes the connection then.
func (l *Loop) openStream(c Carrier, s backend.Stream, from netip.AddrPort) *Link {
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	proxy := l.t.cfg.trusts(from.Addr())
	arrives := proxy || c == WebSocket
	if l.stopping || !arrives && !l.t.admission.acquire(c, from.Addr(), l.now) {
		return nil
	}
	k := newStreamLink(c)
	k.loop, k.carrier, k.addr, k.received, k.state = l, c, from, l.now, stateValidated
	k.tcp.stream, k.tcp.lookAt, k.tcp.place = s, Never, len(l.streams)
	l.streams = append(l.streams, k)
	if arrives {
		l.addPending(k, proxy)
	} else {
		l.opened(k)
	}
	return k
}

func newStreamLink(c Carrier) *Link {
	if c == WebSocket {
		w := &wsLink{}
		w.Link.tcp, w.tcpPart.ws = &w.tcpPart, &w.wsPart
		return &w.Link
	}
	t := &tcpLink{}
	t.Link.tcp = &t.tcpPart
	return &t.Link
}

// opened hands a link up, which has entered by its address.
func (l *Loop) opened(k *Link) {
	l.t.admission.carriers[k.Carrier()].opened.Add(1)
	l.callOpen(k, [16]byte{})
}

// forgetStream takes a closed link out of the loop and ends its connection.
func (l *Loop) forgetStream(k *Link, err error) {
	l.removePending(k)
	last := len(l.streams) - 1
	moved := l.streams[last]
	l.streams[k.tcp.place] = moved
	moved.tcp.place = k.tcp.place
	l.streams[last] = nil
	l.streams = l.streams[:last]
	l.bufs.put(k.tcp.out)
	k.tcp.out = nil
	if k.state&stateOpened != 0 {
		l.t.admission.release(k.Carrier(), k.addr.Addr(), true)
	}
	s := k.tcp.stream
	k.tcp.stream = gone{}
	if w := k.tcp.ws; w != nil && k.state&stateOpened != 0 && !k.tcp.shut {
		l.wsClose(s, w.closeStatus(err))
	}
	s.End()
}

// gone stands for the stream of a closed link: the descriptor behind the real
// one may be somebody else's by now.
type gone struct{}

func (gone) Write(p []byte) (int, error) { return len(p), nil }
func (gone) OutboundBuffered() int       { return 0 }
func (gone) CloseWrite() bool            { return false }
func (gone) RTT() time.Duration          { return 0 }
func (gone) End()                        {}

// streamData looks at what arrived.
func (l *Loop) streamData(k *Link, in backend.Inbound) {
	defer l.guard(k)
	n := in.InboundBuffered()
	k.in += uint64(n - k.tcp.left)
	k.tcp.left = n
	if k.tcp.pending != nil && !k.deaf() && !l.takePending(k, in) {
		l.notePartial(k, false)
		return
	}
	packets := l.stats.packets
	switch {
	case k.deaf():
		k.take(in, k.tcp.left)
	case k.tcp.ws != nil:
		l.wsData(k, in, k.tcp.left)
	default:
		l.tcpData(k, in, k.tcp.left)
	}
	l.notePartial(k, l.stats.packets != packets)
}

// take consumes n bytes of what has arrived.
func (k *Link) take(in backend.Inbound, n int) {
	if n > 0 && k.tcp.stream != backend.Stream(gone{}) {
		_, _ = in.Discard(n)
		k.tcp.left -= n
	}
}

// tcpData takes the frames that are whole. One that trickles in is parsed once
// its length is known, and then not again before all of it is here.
func (l *Loop) tcpData(k *Link, in backend.Inbound, n int) {
	if n == 0 {
		return
	}
	k.received = l.now
	if n < k.tcp.need {
		return
	}
	b, err := in.Peek(n)
	if err != nil {
		k.Close(err)
		return
	}
	used := l.frames(k, b, 0)
	k.tcp.need = 0
	if used < n {
		// frames has refused what is too large, so this bounds the rest.
		k.tcp.need, _ = codec.FrameSize(b[used:], l.t.cfg.maxBody())
	}
	k.take(in, used)
}

// writeNow writes ahead of the batch's output: what the carrier itself says.
func (k *Link) writeNow(b []byte) {
	k.sent += uint64(len(b))
	if _, err := k.tcp.stream.Write(b); err != nil {
		k.Close(err)
	}
}

// streamClosed is told by the backend when a connection is gone. It may come
// from within Write.
func (l *Loop) streamClosed(k *Link, err error) {
	switch {
	case k.state&stateFinishing != 0:
		err = ErrFinished
	case err == nil || errors.Is(err, io.EOF):
		err = io.EOF
	}
	k.tcp.stream = gone{}
	k.Close(err)
}

// flushStream writes what the batch collected, and looks after a stream that
// somebody waits for: gnet tells nobody when a socket takes more again.
func (l *Loop) flushStream(k *Link) {
	t := k.tcp
	if len(t.out) > 0 {
		out := t.out
		t.out = nil
		if t.ws != nil {
			k.writeNow(l.wsSeal(out))
		} else {
			k.writeNow(out)
		}
		l.bufs.put(out)
		t.wait = 0
	}
	if k.state&stateClosed != 0 {
		return
	}
	t.lookAt = Never
	waiting := t.stream.OutboundBuffered()
	switch {
	case k.state&stateFinishing != 0 && waiting == 0:
		// The peer closes next. Closing first, with its bytes unread, would
		// reset the connection and could destroy what was sent last.
		if !t.shut {
			t.shut = true
			if t.ws != nil && k.state&stateOpened != 0 {
				l.wsClose(t.stream, t.ws.closeStatus(ErrFinished))
			}
			if !t.stream.CloseWrite() {
				k.Close(ErrFinished)
			}
		}
	case k.state&stateStarved != 0 && k.half():
		l.writable = append(l.writable, k) // told in the next batch, which follows at once
	case k.state&(stateStarved|stateFinishing) != 0:
		t.wait = min(max(2*t.wait, minRetry), maxRetry)
		t.lookAt = l.now + t.wait
		l.timers.schedule(k, t.lookAt)
	}
}
