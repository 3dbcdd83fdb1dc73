// SPDX-License-Identifier: MIT

package memnet

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Line is the way of one machine onto a Network: an address, conditions of its own,
// and a cable that can be pulled out and put back. What is lost on it depends on
// its seed, the moment and the connection alone: what other lines carry changes
// nothing. Guarded by its network's lock; its methods are safe to call from any
// goroutine.
type Line struct {
	n     *Network
	seed  uint64
	addr  netip.Addr
	cond  Conditions
	ports uint16 // given out
	opens uint64 // flights ever
	down  bool
	up    chan struct{} // closed when the line is up again
	held  []*flight     // streams with pieces that wait for that
}

// NewLine returns the line of a machine with that address, which is up.
func (n *Network) NewLine(seed uint64, addr netip.Addr, c Conditions) *Line {
	return &Line{n: n, seed: seed, addr: addr, cond: c, up: make(chan struct{})}
}

// SetConditions changes the conditions of everything that is sent from now on.
func (l *Line) SetConditions(c Conditions) {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	l.cond = c
}

// Conditions returns the line's conditions.
func (l *Line) Conditions() Conditions {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	return l.cond
}

// SetAddr gives the line another address: what is opened from now on has it.
func (l *Line) SetAddr(addr netip.Addr) {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	l.addr = addr
}

// Cut pulls the cable out, and no side is told. Datagrams are lost. A stream's
// bytes wait, as long as its ends do, and a dial waits too.
func (l *Line) Cut() {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	l.down = true
}

// Heal puts the cable back: what has waited arrives after Conditions.Delay.
func (l *Line) Heal() {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if !l.down {
		return
	}
	l.down = false
	close(l.up)
	l.up = make(chan struct{})
	now := l.n.now()
	for _, f := range l.held {
		f.resumeLocked(now)
	}
	l.held = nil
}

// DialTCP is Network.DialTCP from this line.
func (l *Line) DialTCP(ctx context.Context, addr netip.AddrPort) (*Conn, error) {
	for {
		l.n.mu.Lock()
		down, up := l.down, l.up
		l.n.mu.Unlock()
		if !down {
			return l.n.dialTCP(ctx, l, addr)
		}
		select {
		case <-up:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ListenPacket is Network.ListenPacket on this line.
func (l *Line) ListenPacket() (*PacketConn, error) { return l.n.listenPacket(l) }

// holdLocked remembers a stream for which something waits.
func (l *Line) holdLocked(f *flight) {
	if !slices.Contains(l.held, f) {
		l.held = append(l.held, f)
	}
}

// resumeLocked lets what has waited for the line go on.
func (f *flight) resumeLocked(now time.Duration) {
	if len(f.q) == 0 {
		return
	}
	due := now + f.line.cond.Delay
	for i := range f.q {
		f.q[i].due = max(f.q[i].due, due)
		f.last = f.q[i].due
	}
	f.armLocked(now)
}

// condOfLocked returns the conditions of a line, or the network's without one.
func (n *Network) condOfLocked(line *Line) *Conditions {
	if line == nil {
		return &n.cond
	}
	return &line.cond
}

// clientAddrOfLocked returns an address that no client had before.
func (n *Network) clientAddrOfLocked(line *Line) netip.AddrPort {
	if line == nil {
		return n.clientAddrLocked()
	}
	line.ports++
	return netip.AddrPortFrom(line.addr, 40000+line.ports%20000)
}

func (n *Network) flightLocked(line *Line, stream bool, deliver func(parcel)) flight {
	f := flight{n: n, line: line, stream: stream, deliver: deliver}
	if line != nil {
		line.opens++
		f.draws.seed = line.seed + line.opens<<32
	}
	return f
}

// draws are random numbers that depend on a seed and the moment they are drawn at.
type draws struct {
	seed uint64
	now  time.Duration
	pcg  *rand.PCG
	rand *rand.Rand
}

func (d *draws) at(now time.Duration) *rand.Rand {
	switch {
	case d.rand == nil:
		d.pcg = rand.NewPCG(d.seed, uint64(now))
		d.rand = rand.New(d.pcg)
	case d.now != now:
		d.pcg.Seed(d.seed, uint64(now))
	}
	d.now = now
	return d.rand
}
