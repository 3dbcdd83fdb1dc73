// SPDX-License-Identifier: MIT

package kcp

// A Repeater does for stock KCP what a Conn does by itself (SPEC 5.6). It sees all
// datagrams of one conversation. While the path loses, it puts the latest segments
// in flight in front of those that go out. The zero value works. One call runs at
// a time: its owner sees to that.
type Repeater struct {
	next, una uint32
	loss      lossRate
	sent      [thin]sentSegment // by number
	copies    [repeats]segmentCopy
	out       []byte
}

// sentSegment is what is known of a segment in flight.
type sentSegment struct {
	sn, ts        uint32 // ts of the first transmission
	retransmitted bool   // it was sent more than once
	acked         bool
}

// segmentCopy is one that may be repeated.
type segmentCopy struct {
	sn, ts uint32 // ts of the latest transmission
	b      []byte
}

// Output takes a datagram that is about to be sent and returns what to send in its
// place. The result is valid until the next call. It is no longer than limit if the
// datagram is not. What is not KCP passes unchanged.
func (r *Repeater) Output(datagram []byte, limit int) []byte {
	var fresh header
	news, resend := 0, false
	eachSegment(datagram, func(h header, _ []byte) {
		switch {
		case h.cmd != cmdPush:
		case h.sn == r.next:
			news++
			fresh = h
			r.sent[h.sn%thin] = sentSegment{sn: h.sn, ts: h.ts}
			r.next++
		default:
			resend = true
			if s := &r.sent[h.sn%thin]; s.sn == h.sn {
				s.retransmitted = true
			}
		}
	})
	if news == 0 || r.next-r.una > thin || !r.loss.significant() {
		return datagram
	}
	r.out = r.out[:0]
	if news == 1 && !resend {
		r.repeat(fresh, limit-len(datagram))
	}
	eachSegment(datagram, func(h header, b []byte) {
		if h.cmd == cmdPush {
			c := &r.copies[h.sn%repeats]
			c.sn, c.ts, c.b = h.sn, h.ts, append(c.b[:0], b...)
		}
	})
	r.out = append(r.out, datagram...)
	return r.out
}

// repeat appends the segments that go in front of fresh, as far as there is room.
func (r *Repeater) repeat(fresh header, room int) {
	first := fresh.sn
	for n := uint32(1); n <= repeats && !before(fresh.sn-n, r.una); n++ {
		c := &r.copies[(fresh.sn-n)%repeats]
		if c.sn != fresh.sn-n || c.ts == fresh.ts || len(c.b) == 0 || len(c.b) > room {
			break
		}
		room -= len(c.b)
		first = c.sn
	}
	for sn := first; sn != fresh.sn; sn++ {
		c := &r.copies[sn%repeats]
		h := parseHeader(c.b)
		h.wnd, h.ts, h.una = fresh.wnd, fresh.ts, fresh.una
		c.ts = fresh.ts
		r.out = append(h.append(r.out), c.b[HeaderSize:]...)
	}
}

// Input looks at a datagram that came in.
func (r *Repeater) Input(datagram []byte) {
	eachSegment(datagram, func(h header, _ []byte) {
		if h.cmd == cmdAck && !before(h.sn, r.una) && before(h.sn, r.next) {
			if s := &r.sent[h.sn%thin]; s.sn == h.sn && !s.acked {
				r.loss.observe(s.retransmitted && h.ts != s.ts)
				s.acked = true
			}
		}
		if before(r.next, h.una) {
			return // acknowledges what was never sent: not our peer's
		}
		for ; before(r.una, h.una); r.una++ {
			if s := &r.sent[r.una%thin]; s.sn == r.una && !s.acked {
				r.loss.observe(s.retransmitted)
			}
		}
	})
}

// eachSegment calls f for the segments of a datagram, with their bytes, and
// for none if they don't add up to it.
func eachSegment(datagram []byte, f func(h header, b []byte)) {
	for pass := range 2 {
		for b := datagram; len(b) > 0; {
			if len(b) < HeaderSize {
				return
			}
			h := parseHeader(b)
			if uint64(h.size) > uint64(len(b)-HeaderSize) {
				return
			}
			n := HeaderSize + int(h.size)
			if pass == 1 {
				f(h, b[:n])
			}
			b = b[n:]
		}
	}
}
