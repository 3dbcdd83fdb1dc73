// SPDX-License-Identifier: MIT

package kcp

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A game is a client that asks twenty times a second and a server that answers
// each request: thin streams, in which every loss is felt.
type game struct {
	simulation       // peers are the client and the server
	requests         int
	size             [2]int // of requests and answers
	asked, took      []time.Duration
	served, answered int
}

const gameTick = 50 * ms

// play runs the game to its end, on the caller's clock: the same bytes must
// come out in the same order at both ends.
func (g *game) play(wait func(until time.Duration)) error {
	for now := time.Duration(0); g.answered < g.requests; wait(now) {
		for len(g.net) > 0 && g.net[0].at <= now {
			f := heap.Pop(&g.net).(flight)
			if err := g.peers[f.to].input(now, f.datagram); err != nil {
				return fmt.Errorf("peer %d refuses an honest datagram: %w", f.to, err)
			}
		}
		next := Never
		if n := len(g.asked); n < g.requests {
			if now >= time.Duration(n)*gameTick {
				g.asked = append(g.asked, now)
				g.peers[0].write(numbered(n, g.size[0]))
			}
			next = time.Duration(len(g.asked)) * gameTick
		}
		for g.has(1, g.served) {
			g.peers[1].write(numbered(g.served, g.size[1]))
			g.served++
		}
		for g.has(0, g.answered) {
			g.took = append(g.took, now-g.asked[g.answered])
			g.answered++
		}
		for i, p := range g.peers {
			p.output(now, func(d []byte) { g.carry(now, 1-i, d) })
			next = min(next, p.deadline(now))
		}
		if len(g.net) > 0 {
			next = min(next, g.net[0].at)
		}
		if now > time.Duration(g.requests)*gameTick+time.Minute {
			return fmt.Errorf("%d requests were asked, %d served, %d answered after %v", len(g.asked), g.served, g.answered, now)
		}
		now = max(next, now+time.Microsecond)
	}
	return nil
}

// numbered is message n, of size bytes.
func numbered(n, size int) []byte {
	return binary.LittleEndian.AppendUint64(bytes.Repeat([]byte{byte(n)}, size-8), uint64(n))
}

// has takes message n at one side, if it is there.
func (g *game) has(side, n int) bool {
	b, size := g.peers[side].read(g.received[side]), g.size[1-side]
	g.received[side] = b
	if len(b) < size || !bytes.Equal(b[:size], numbered(n, size)) {
		return false // another message than n ends the game: nothing follows it
	}
	g.received[side] = b[size:]
	return true
}

// percentile is the latency that a share of the requests did not exceed.
func (g *game) percentile(share float64) time.Duration {
	took := slices.Sorted(slices.Values(g.took))
	return took[int(share*float64(len(took)-1))]
}

func newGame(seed uint64, loss float64, client, server peer) *game {
	return &game{
		simulation: simulation{
			conduct: conduct{loss: loss, delay: 26 * ms},
			r:       rand.New(rand.NewPCG(seed, 4)),
			peers:   [2]peer{client, server},
		},
		requests: 2000, size: [2]int{85, 425},
	}
}

// TestRepeatsSaveWhatLossCosts: on a path that loses, the slowest answers of
// a game lose a good part of their delay; on one that does not, nothing is
// repeated. No datagram is sent for it.
func TestRepeatsSaveWhatLossCosts(t *testing.T) {
	play := func(loss float64, cfg *Config) *game {
		cfg.Pool = NewPool(0)
		g := newGame(1, loss, newOurs(5, cfg, 0, 0), newOurs(5, cfg, 0, 0))
		g.requests = 10_000
		if err := g.play(func(time.Duration) {}); err != nil {
			t.Fatal(err)
		}
		return g
	}
	for _, loss := range []float64{0, 0.01, 0.05, 0.1, 0.2} {
		before, after := &Config{NoRepeats: true}, &Config{}
		without, with := play(loss, before), play(loss, after)
		compare(t, loss, without, with, 0.8)
		switch {
		case before.Repeats != 0:
			t.Errorf("%d repeats on a path that loses nothing", before.Repeats)
		case (loss > 0) != (after.Repeats > 0):
			t.Errorf("%d repeats at a loss of %v", after.Repeats, loss)
		}
	}
}

// TestTimeoutsAreInTime: where round trips take equally long, a loss costs one more of them and
// hardly anything else, also if another one comes with it.
func TestTimeoutsAreInTime(t *testing.T) {
	cfg := &Config{Pool: NewPool(0)}
	g := newGame(1, 0.05, newOurs(5, cfg, 0, 0), newOurs(5, cfg, 0, 0))
	g.requests = 10_000
	if err := g.play(func(time.Duration) {}); err != nil {
		t.Fatal(err)
	}
	if p99, most := g.percentile(0.99), 4*g.delay+2*ms; p99 > most {
		t.Errorf("p99 is %v, more than two round trips and 2 ms, %v", p99, most)
	}
}

// TestHasteEnds with the loss that was the reason for it, although the round trips go on to
// take longer now and then than it waits.
func TestHasteEnds(t *testing.T) {
	cfg := &Config{Pool: NewPool(0)}
	g := newGame(1, 0.05, newOurs(5, cfg, 0, 0), newOurs(5, cfg, 0, 0))
	g.requests, g.jitter = 10_000, 10*ms
	const ends = 100 * time.Second
	var then Config
	err := g.play(func(now time.Duration) {
		switch {
		case now < ends:
		case g.loss > 0:
			g.loss = 0
		case now < ends+10*time.Second:
			then = *cfg
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if then.Repeats == 0 || cfg.Repeats > then.Repeats {
		t.Errorf("%d repeats after 10 s, %d at the end, 390 s later", then.Repeats, cfg.Repeats)
	}
	if n := cfg.Retransmits - then.Retransmits; n > 80 { // of 15,600 segments
		t.Errorf("%d resends where nothing is lost", n)
	}
}

// TestJitterIsNoLoss: a path that only delays makes no repeats.
func TestJitterIsNoLoss(t *testing.T) {
	cfg := &Config{Pool: NewPool(0)}
	g := newGame(1, 0, newOurs(5, cfg, 0, 0), newOurs(5, cfg, 0, 0))
	g.jitter = 10 * ms
	if err := g.play(func(time.Duration) {}); err != nil {
		t.Fatal(err)
	}
	if t.Logf("%d timeouts", cfg.Retransmits); cfg.Repeats > 0 {
		t.Errorf("%d repeats", cfg.Repeats)
	}
}

// TestRepeaterSavesWhatLossCosts: the same for the requests of a stock client.
func TestRepeaterSavesWhatLossCosts(t *testing.T) {
	play := func(loss float64, repeats bool) (g *game) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			client := newTheirs(5, games)
			g = newGame(1, loss, client, newOurs(5, &Config{Pool: NewPool(0), NoRepeats: true}, 0, 0))
			if repeats {
				g.peers[0] = &repeating{peer: client}
			}
			g.requests = 5_000
			if err := g.play(func(at time.Duration) { time.Sleep(at - time.Since(start)) }); err != nil {
				t.Fatal(err)
			}
		})
		return g
	}
	for _, loss := range []float64{0, 0.2} {
		with := play(loss, true)
		compare(t, loss, play(loss, false), with, 0.9)
		if n := with.peers[0].(*repeating).repeated; (loss > 0) != (n > 0) {
			t.Errorf("%d repeats at a loss of %v", n, loss)
		}
	}
}

// compare checks that repeats were worth it: a share of the delay that loss makes is left.
func compare(t *testing.T, loss float64, without, with *game, share float64) {
	t.Helper()
	slow, fast := without.percentile(0.99), with.percentile(0.99)
	t.Logf("loss %4.2f: p99 %v, %d datagrams; with repeats %v, %d", loss, slow, without.carried, fast, with.carried)
	switch base := without.percentile(0); {
	case loss == 0 && slow != fast, loss > 0.01 && float64(fast-base) > float64(slow-base)*share:
		t.Errorf("loss %v costs %v at p99, and %v without repeats", loss, fast-base, slow-base)
	case with.carried > without.carried*101/100:
		t.Errorf("%d datagrams instead of %d: repeats travel with others", with.carried, without.carried)
	}
}

// games is how stock clients are set up for games.
var games = mode{nodelay: 1, interval: 10, resend: 2, nc: 1, snd: 128, rcv: 128, mtu: 1200, stream: true, ackNow: true}

// repeating is a peer with a Repeater below it.
type repeating struct {
	peer
	r        Repeater
	repeated int // datagrams
}

func (p *repeating) input(now time.Duration, d []byte) error {
	p.r.Input(d)
	return p.peer.input(now, d)
}

func (p *repeating) output(now time.Duration, send func([]byte)) {
	p.peer.output(now, func(d []byte) {
		out := p.r.Output(d, cutMTU)
		if len(out) > len(d) {
			p.repeated++
		}
		if len(out) > max(len(d), cutMTU) || !bytes.HasSuffix(out, d) {
			panic("a Repeater changed a datagram")
		}
		send(out)
	})
}

// TestRepeatsAgainstKCPGo: repeated segments are duplicates to stock KCP, at
// either end, from a Conn or a Repeater: each message arrives once and in
// order, whatever the network does.
func TestRepeatsAgainstKCPGo(t *testing.T) {
	repeats := [2]int{}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for n := range uint64(max(seedCount()/50, 8)) {
			r := rand.New(rand.NewPCG(*seed+n, 5))
			began := time.Since(start)
			cfg, m := &Config{Pool: NewPool(0)}, games
			m.mtu, m.ackNow = 100+r.IntN(1300), r.IntN(2) == 0
			theirs := &repeating{peer: newTheirs(5, m)}
			peers := [2]peer{newOurs(5, cfg, 0, 0), theirs}
			g := newGame(*seed+n, r.Float64()*0.3, peers[n%2], peers[1-n%2])
			g.requests = 500
			g.dup, g.delay, g.jitter = r.Float64()*0.1, time.Duration(r.IntN(150))*ms, time.Duration(r.IntN(60))*ms
			if err := g.play(func(at time.Duration) { time.Sleep(began + at - time.Since(start)) }); err != nil {
				t.Fatalf("seed %d: %v: %v", *seed+n, g.conduct, err)
			}
			repeats[0] += int(cfg.Repeats)
			repeats[1] += theirs.repeated
		}
	})
	if t.Logf("%d repeats of ours, %d below kcp-go", repeats[0], repeats[1]); repeats[0] == 0 || repeats[1] == 0 {
		t.Error("nothing was repeated")
	}
}

// TestRepeaterTakesAnything: what is no KCP passes, and nothing panics.
func TestRepeaterTakesAnything(t *testing.T) {
	for n := range uint64(seedCount()) {
		r, p := rand.New(rand.NewPCG(*seed+n, 6)), Repeater{}
		for range 50 {
			h := func() header {
				return header{cmd: uint8(cmdPush + r.IntN(5)), sn: p.next - r.Uint32N(3), una: p.next - r.Uint32N(4), ts: r.Uint32N(3), size: r.Uint32N(40)}
			}
			d := build(h(), h())
			d = d[:len(d)-r.IntN(2)*r.IntN(len(d))]
			if r.IntN(2) == 0 {
				p.Input(d)
				continue
			}
			if out := p.Output(d, 120); !bytes.HasSuffix(out, d) || len(out) > max(120, len(d)) {
				t.Fatalf("seed %d: %x becomes %x", *seed+n, d, out)
			}
		}
	}
}
