// SPDX-License-Identifier: MIT

package session

import (
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

func (l *link) arrival() time.Duration {
	d := l.w.delay
	if l.w.jitter > 0 {
		d += time.Duration(l.w.rng.Int64N(int64(l.w.jitter)))
	}
	return l.w.now + d
}

func (l *link) write(dir int, b []byte) {
	if len(b) == 0 || l.cut {
		return
	}
	s := &l.up[dir]
	at := l.arrival()
	if n := len(s.chunks); n > 0 {
		at = max(at, s.chunks[n-1].at)
	}
	for len(b) > 0 { // one chunk a frame, so that faults can pick
		n, err := codec.FrameSize(b, 1<<20)
		if err != nil || n == 0 || n > len(b) {
			l.w.t.Fatalf("a peer wrote something that is no frame: %x %v", b, err)
		}
		frame := slices.Clone(b[:n])
		b = b[n:]
		if d := l.perByte[dir]; d > 0 {
			for i := range frame {
				at += d
				s.chunks = append(s.chunks, chunk{at, frame[i : i+1]})
			}
			continue
		}
		if l.swallow != nil && l.swallow(dir, frame) {
			continue
		}
		s.chunks = append(s.chunks, chunk{at, frame})
		if l.duplicate != nil && l.duplicate(dir, frame) {
			s.chunks = append(s.chunks, chunk{at, frame})
		}
	}
}

func (l *link) queued(dir int) (n int) {
	for _, c := range l.up[dir].chunks {
		n += len(c.b)
	}
	return n
}

func (l *link) flush() {
	room := 1 << 30
	if l.room > 0 {
		room = max(l.room-l.queued(toClient), 0)
	}
	if l.seat != nil && !l.closed && !l.w.stalled && (l.woken || l.room > 0) {
		l.woken = false
		l.write(toClient, l.seat.s.Output(nil, l.epoch, l.w.now, room))
	}
	if l.p.link == l && !l.p.forged && !l.p.asleep {
		room := 1 << 30
		if l.room > 0 {
			room = max(l.room-l.queued(toServer), 0)
		}
		l.write(toServer, l.p.c.Output(nil, l.p.now(), room))
	}
}

func (l *link) deliver(dir int) {
	s := &l.up[dir]
	for len(s.chunks) > 0 && s.chunks[0].at <= l.w.now && !l.cut && !l.blocked(dir) {
		b := s.chunks[0].b
		s.chunks = s.chunks[1:]
		if left := l.cutAfter[dir]; left > 0 && l.passed[dir]+len(b) >= left {
			b = b[:left-l.passed[dir]]
			l.cutNow()
		}
		l.passed[dir] += len(b)
		s.buf = append(s.buf, b...)
		for {
			p, n, err := codec.ParseFrame(s.buf, 1<<20)
			if err != nil {
				l.w.t.Fatalf("frame: %v", err)
			}
			if n == 0 {
				break
			}
			p.Body = slices.Clone(p.Body)
			s.buf = s.buf[n:]
			if l.record != nil {
				l.record(dir, p)
			}
			if dir == toServer {
				l.serverReceive(p)
			} else if l.p.link == l {
				l.p.receive(p)
			}
		}
		l.saw(dir)
	}
}

// blocked reports that nobody reads this direction.
func (l *link) blocked(dir int) bool {
	if dir == toServer {
		return l.unread || l.w.stalled
	}
	return l.p.asleep
}

// saw tells the end that reads of progress, however little.
func (l *link) saw(dir int) {
	if dir == toClient {
		if l.p.link == l && !l.p.forged {
			l.p.c.Saw(l.p.now())
		}
	} else if l.seat != nil && !l.closed && l.seat.link == l {
		l.seat.s.Saw(l.w.now)
	}
}

func (l *link) cutNow() {
	if !l.cut {
		l.cut = true
		l.w.cuts++
	}
}

// closeByServer ends the link in an orderly way: both ends learn of it.
func (l *link) closeByServer(code Code) {
	if l.closed {
		return
	}
	l.closed = true
	if l.seat != nil && l.seat.link == l {
		l.seat.detach(l)
	}
	// The client hears of the end after what is still in flight.
	l.byeBy = l.arrival()
}
