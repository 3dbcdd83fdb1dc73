// SPDX-License-Identifier: MIT

package memnet

import (
	"net/netip"
	"time"
)

const (
	// rateQueue is how long a datagram may wait for Rate before it is dropped.
	rateQueue = 250 * time.Millisecond
	// overtaken is how long a reordered datagram is kept back besides Delay.
	overtaken = 10 * time.Millisecond
)

// parcel is a datagram, or a piece of a stream, on its way.
type parcel struct {
	due      time.Duration
	from, to netip.AddrPort
	data     []byte
	end      bool // of a stream
}

// flight is one direction of a client connection: what is in the air, in the
// order of arrival, behind one timer. Guarded by Network.mu.
type flight struct {
	n       *Network
	line    *Line        // nil: it has the network's conditions
	draws   draws        // of the line
	stream  bool         // it loses nothing: what is on its way waits for a line that is down
	deliver func(parcel) // called with mu held
	q       []parcel
	timer   *time.Timer
	free    time.Duration // when the line has sent what it has to send at Rate
	last    time.Duration // arrival of the last piece of a stream
}

// transmitLocked is when the line has sent size more bytes.
func (f *flight) transmitLocked(now time.Duration, size int) time.Duration {
	rate := f.n.condOfLocked(f.line).Rate
	if rate <= 0 {
		return now
	}
	f.free = max(f.free, now) + time.Duration(size)*time.Second/time.Duration(rate)
	return f.free
}

// datagramLocked sends a datagram under the conditions of the network.
func (f *flight) datagramLocked(p parcel) {
	n, c := f.n, f.n.condOfLocked(f.line)
	now := n.now()
	random := n.rand
	if f.line != nil {
		random = f.draws.at(now)
	}
	copies := 1
	// Each condition draws only if it is set, so that one does not change
	// what another does.
	if c.Loss > 0 && random.Float64() < c.Loss {
		return
	}
	if c.Duplicate > 0 && random.Float64() < c.Duplicate {
		copies = 2
	}
	if f.free > now+rateQueue || c.MTU > 0 && len(p.data) > c.MTU {
		return
	}
	sent := f.transmitLocked(now, len(p.data))
	p.data = append([]byte(nil), p.data...)
	for range copies {
		p.due = sent + c.Delay
		if c.Jitter > 0 {
			p.due += time.Duration(random.Int64N(int64(c.Jitter) + 1))
		}
		if c.Reorder > 0 && random.Float64() < c.Reorder {
			p.due += overtaken
		}
		f.putLocked(now, p)
	}
}

// pieceLocked sends a piece of a stream: late perhaps, but whole and in order.
func (f *flight) pieceLocked(p parcel) {
	now := f.n.now()
	p.due = max(f.transmitLocked(now, len(p.data))+f.n.condOfLocked(f.line).Delay, f.last)
	f.last = p.due
	f.putLocked(now, p)
}

// putLocked delivers p at once, or puts it behind everything that arrives no later.
func (f *flight) putLocked(now time.Duration, p parcel) {
	down := f.line != nil && f.line.down
	if down && !f.stream {
		return
	}
	if p.due <= now && len(f.q) == 0 && !down {
		f.deliver(p)
		return
	}
	i := len(f.q)
	for i > 0 && f.q[i-1].due > p.due {
		i--
	}
	f.q = append(f.q, parcel{})
	copy(f.q[i+1:], f.q[i:])
	f.q[i] = p
	if down {
		f.line.holdLocked(f)
	} else if i == 0 {
		f.armLocked(now)
	}
}

func (f *flight) armLocked(now time.Duration) {
	wait := max(f.q[0].due-now, 1) // never 0: in virtual time that would run it here
	if f.timer == nil {
		f.timer = time.AfterFunc(wait, f.arrive)
	} else {
		f.timer.Reset(wait)
	}
}

// arrive is what the timer calls.
func (f *flight) arrive() {
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	now := f.n.now()
	down := f.line != nil && f.line.down
	if down && f.stream {
		f.line.holdLocked(f)
		return
	}
	for len(f.q) > 0 && f.q[0].due <= now {
		p := f.q[0]
		f.q[0] = parcel{}
		f.q = f.q[1:]
		if !down {
			f.deliver(p)
		}
	}
	if len(f.q) > 0 {
		f.armLocked(now)
	}
}

// stopLocked forgets what is in the air.
func (f *flight) stopLocked() {
	f.q = nil
	if f.timer != nil {
		f.timer.Stop()
	}
}
