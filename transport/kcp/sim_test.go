// SPDX-License-Identifier: MIT

package kcp

import (
	"bytes"
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// A peer is one side of a simulated conversation.
type peer interface {
	write(b []byte) int   // takes a prefix of b
	read(b []byte) []byte // appends what has arrived
	input(now time.Duration, datagram []byte) error
	output(now time.Duration, send func(datagram []byte))
	deadline(now time.Duration) time.Duration
}

// A conduct describes a simulated network and the traffic over it.
type conduct struct {
	loss, dup     float64
	delay, jitter time.Duration
	bytes         [2]int        // each way
	chunk         int           // largest write
	pause         time.Duration // longest time for which a side doesn't read
}

func (c conduct) String() string {
	return fmt.Sprintf("loss %.2f dup %.2f delay %v jitter %v bytes %v chunk %d pause %v",
		c.loss, c.dup, c.delay, c.jitter, c.bytes, c.chunk, c.pause)
}

func randomConduct(r *rand.Rand) conduct {
	ms := func(n int) time.Duration { return time.Duration(r.IntN(n+1)) * time.Millisecond }
	c := conduct{delay: ms(100), bytes: [2]int{r.IntN(60_000), r.IntN(60_000)}, chunk: 100 + r.IntN(4000)}
	if r.IntN(3) > 0 {
		c.loss = r.Float64() * 0.3
	}
	if r.IntN(2) == 0 {
		c.dup = r.Float64() * 0.2
	}
	if r.IntN(2) == 0 {
		c.jitter = ms(80)
	}
	if r.IntN(4) == 0 {
		c.pause = ms(1500)
	}
	return c
}

// A simulation connects two peers by a network. The clock is the caller's.
type simulation struct {
	conduct
	r        *rand.Rand
	peers    [2]peer
	sent     [2][]byte // what each side shall send
	written  [2]int
	received [2][]byte // what each side got
	deaf     [2]time.Duration
	net      flights
	seq      int
	carried  int // datagrams
}

func newSimulation(r *rand.Rand, c conduct, a, b peer) *simulation {
	s := &simulation{conduct: c, r: r, peers: [2]peer{a, b}}
	for i, n := range c.bytes {
		s.sent[i] = make([]byte, n)
		for j := range s.sent[i] {
			s.sent[i][j] = byte(r.Uint32())
		}
	}
	return s
}

// step lets everything happen that is due at now. It returns when to call it
// next, or Never when both sides have everything.
func (s *simulation) step(now time.Duration) (time.Duration, error) {
	for len(s.net) > 0 && s.net[0].at <= now {
		f := heap.Pop(&s.net).(flight)
		if err := s.peers[f.to].input(now, f.datagram); err != nil {
			return 0, fmt.Errorf("peer %d refuses an honest datagram: %w", f.to, err)
		}
	}
	next := Never
	for i, p := range s.peers {
		if now >= s.deaf[i] {
			s.received[i] = p.read(s.received[i])
			if s.pause > 0 {
				s.deaf[i] = now + time.Duration(s.r.Int64N(int64(s.pause)))
				next = min(next, max(s.deaf[i], now+1))
			}
		} else {
			next = min(next, s.deaf[i])
		}
		if !bytes.HasPrefix(s.sent[1-i], s.received[i]) {
			return 0, fmt.Errorf("peer %d got bytes that were not sent", i)
		}
		if rest := s.sent[i][s.written[i]:]; len(rest) > 0 {
			n := p.write(rest[:min(len(rest), 1+s.r.IntN(s.chunk))])
			s.written[i] += n
			if n > 0 {
				next = min(next, now+time.Duration(s.r.IntN(20))*time.Millisecond)
			}
		}
		p.output(now, func(d []byte) { s.carry(now, 1-i, d) })
		next = min(next, p.deadline(now))
	}
	if len(s.net) > 0 {
		next = min(next, s.net[0].at)
	}
	if len(s.received[0]) == len(s.sent[1]) && len(s.received[1]) == len(s.sent[0]) {
		return Never, nil
	}
	if next == Never {
		return 0, errors.New("nothing is waited for, but bytes are missing")
	}
	return max(next, now+time.Microsecond), nil
}

func (s *simulation) carry(now time.Duration, to int, d []byte) {
	s.carried++
	copies := 1
	if s.r.Float64() < s.dup {
		copies = 2
	}
	for range copies {
		if s.r.Float64() < s.loss {
			continue
		}
		at := now + s.delay
		if s.jitter > 0 {
			at += time.Duration(s.r.Int64N(int64(s.jitter)))
		}
		s.seq++
		heap.Push(&s.net, flight{at, s.seq, to, bytes.Clone(d)})
	}
}

// flights is the heap of the datagrams under way.
type flights []flight

type flight struct {
	at       time.Duration
	seq, to  int
	datagram []byte
}

func (f flights) Len() int { return len(f) }
func (f flights) Less(i, j int) bool {
	return f[i].at < f[j].at || f[i].at == f[j].at && f[i].seq < f[j].seq
}
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)   { *f = append(*f, x.(flight)) }
func (f *flights) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

// ours is a Conn as a peer.
type ours struct {
	Conn
	buf      []byte
	restless *rand.Rand // if set, changes the MTU now and then
}

func newOurs(conv uint32, cfg *Config, sn, peerSN uint32) *ours {
	o := &ours{}
	o.Init(conv, cfg)
	o.startAt(sn, peerSN)
	return o
}

// startAt moves the numbers of a new conversation, to have them wrap.
func (c *Conn) startAt(sn, peerSN uint32) {
	c.sndNxt, c.sndLimit, c.rcvNxt = sn, sn+startWindow, peerSN
}

func (o *ours) write(b []byte) int {
	b = b[:min(len(b), o.Room())]
	if err := o.Write(b); err != nil {
		panic(err) // Room promised it
	}
	return len(b)
}

func (o *ours) read(b []byte) []byte {
	for p := o.Peek(); p != nil; p = o.Peek() {
		n := len(p)/2 + 1 // in two bites
		b = append(b, p[:n]...)
		o.Discard(n)
	}
	return b
}

func (o *ours) input(now time.Duration, d []byte) error {
	if err := o.Input(now, d); err != nil {
		return err
	}
	return cmp.Or(o.audit(), o.Err())
}

func (o *ours) output(now time.Duration, send func([]byte)) {
	if r := o.restless; r != nil && r.IntN(50) == 0 {
		if err := o.SetMTU(MinMTU + r.IntN(2000)); err != nil {
			panic(err)
		}
	}
	for {
		o.buf = o.Output(now, o.buf[:0], maxMTU)
		if len(o.buf) == 0 {
			return
		}
		send(o.buf)
	}
}

func (o *ours) deadline(now time.Duration) time.Duration { return o.NextDeadline(now) }
