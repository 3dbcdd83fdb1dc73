// SPDX-License-Identifier: MIT

package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// sessionsReport is what a table full of sessions costs, without any network:
// README.md says what each field means.
type sessionsReport struct {
	Sessions         int     `json:"sessions"`
	HeapPerSession   float64 `json:"heap_bytes_per_session"`
	OpenNs           float64 `json:"open_ns"`
	HeartbeatNs      float64 `json:"heartbeat_ns"`
	HeartbeatAllocs  float64 `json:"heartbeat_allocs"`
	WheelNsPerSecond float64 `json:"wheel_ns_per_session_and_second"`
	VisitNs          float64 `json:"visit_ns"`
	DetachNs         float64 `json:"detach_ns"`
	ExpireNs         float64 `json:"expire_ns"`
	GCCycleMs        float64 `json:"gc_cycle_cpu_ms"`
	Goroutines       int     `json:"goroutines"`
	VirtualSeconds   float64 `json:"virtual_seconds"`
}

// shard is a server's sessions as one loop holds them, on a virtual clock.
type shard struct {
	shard session.Shard
	table *session.Table[*seat]
	wheel *session.Wheel[*seat]
	all   []*seat
	now   time.Duration
	buf   []byte

	visits, detached, expired int
}

type seat struct {
	s     session.Session
	timer session.Handle
}

func newShard(cfg *session.Config) *shard {
	c := &shard{wheel: session.NewWheel[*seat](cfg.Tick), table: session.NewTable[*seat](time.Minute, 1<<16)}
	rng := rand.New(rand.NewPCG(1, 2))
	c.shard.Config, c.shard.Rand = cfg, rng.Uint32
	return c
}

// open fills the table. The sessions come spread over one interval, as beats do.
func (c *shard) open(n int) error {
	interval := c.shard.Config.Interval
	c.all = make([]*seat, 0, n)
	rng := rand.NewChaCha8([32]byte{1})
	for i := range n {
		c.now = interval * time.Duration(i) / time.Duration(n)
		id, err := session.NewID(1, 1, rng)
		if err != nil {
			return err
		}
		g := new(seat)
		g.s.Open(&c.shard, id, c.now)
		g.timer = c.wheel.Add(g, g.s.Due())
		c.table.Put(id, "", g)
		c.all = append(c.all, g)
		if err := c.beat(g, uint16(i)); err != nil {
			return err
		}
	}
	c.now = interval
	return nil
}

// beat is a client's heartbeat: it arrives, is counted as life, and its echo
// is written.
func (c *shard) beat(g *seat, id uint16) error {
	p := codec.Packet{Header: codec.Header{Kind: codec.Heartbeat, Flags: codec.EchoWanted, Seq: id}}
	if _, err := g.s.Receive(g.s.Epoch(), p, c.now); err != nil {
		return err
	}
	c.buf = g.s.Output(c.buf[:0], g.s.Epoch(), c.now, 1<<16)
	if len(c.buf) != codec.AppendedFrameSize(0) {
		return fmt.Errorf("the answer to a heartbeat has %d bytes", len(c.buf))
	}
	return nil
}

func (c *shard) visit(g *seat, late time.Duration) time.Duration {
	c.visits++
	switch g.s.Check(c.now, late) {
	case session.Dead:
		g.s.Detach(g.s.Epoch(), c.now)
		c.detached++
	case session.Lapsed:
		id, recv := g.s.ID(), g.s.Received()
		g.s.Close(session.Expired)
		c.wheel.Remove(g.timer)
		c.table.Remove(id, "", session.Tombstone{Code: session.Expired, Recv: recv}, c.now)
		c.expired++
		return session.Never
	}
	return g.s.Due()
}

// pass lets d of virtual time go by, tick by tick, and returns what it cost.
// With beats every client beats once in an interval.
func (c *shard) pass(d time.Duration, beats bool) (beating, turning time.Duration, n int, err error) {
	cfg := c.shard.Config
	per := int(int64(len(c.all)) * int64(cfg.Tick) / int64(cfg.Interval))
	for end := c.now + d; c.now < end; {
		c.now += cfg.Tick
		start := time.Now()
		if beats {
			from := int(int64(len(c.all)) * int64(c.now%cfg.Interval) / int64(cfg.Interval))
			for i := range per {
				if err := c.beat(c.all[(from+i)%len(c.all)], uint16(n)); err != nil {
					return 0, 0, 0, err
				}
				n++
			}
		}
		middle := time.Now()
		c.wheel.Advance(c.now, c.visit)
		beating += middle.Sub(start)
		turning += time.Since(middle)
	}
	return beating, turning, n, nil
}

// benchSessions measures a table of n sessions.
func benchSessions(n int) (r sessionsReport, err error) {
	cfg, err := session.Config{MaxAge: -1}.WithDefaults()
	if err != nil {
		return r, err
	}
	before := liveHeap()
	c := newShard(&cfg)
	start := ownCPU()
	if err := c.open(n); err != nil {
		return r, err
	}
	r = sessionsReport{Sessions: n, OpenNs: float64(ownCPU()-start) / float64(n)}
	r.HeapPerSession = float64(liveHeap()-before)/float64(n) - 8 // the pointers of c.all are ours
	r.GCCycleMs = gcCycle()
	r.Goroutines = runtime.NumGoroutine()

	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	const virtual = 40 * time.Second
	beating, turning, beats, err := c.pass(virtual, true)
	if err != nil {
		return r, err
	}
	runtime.ReadMemStats(&m1)
	if c.detached != 0 {
		return r, fmt.Errorf("%d sessions that beat were given up", c.detached)
	}
	r.VirtualSeconds = virtual.Seconds()
	r.HeartbeatNs = float64(beating.Nanoseconds()) / float64(beats)
	r.HeartbeatAllocs = float64(m1.Mallocs-m0.Mallocs) / float64(beats)
	r.WheelNsPerSecond = float64(turning.Nanoseconds()) / float64(n) / virtual.Seconds()
	r.VisitNs = float64(turning.Nanoseconds()) / float64(max(c.visits, 1))

	// Everybody falls silent: probe, verdict, grace, the end.
	_, turning, _, _ = c.pass(cfg.Timeout+cfg.Interval, false)
	r.DetachNs = float64(turning.Nanoseconds()) / float64(max(c.detached, 1))
	_, turning, _, _ = c.pass(cfg.Grace+cfg.Interval, false)
	r.ExpireNs = float64(turning.Nanoseconds()) / float64(max(c.expired, 1))
	if c.detached != n || c.expired != n || c.table.Len() != 0 || c.wheel.Len() != 0 {
		return r, fmt.Errorf("of %d sessions %d were detached and %d expired; %d and %d deadlines are left", n, c.detached, c.expired, c.table.Len(), c.wheel.Len())
	}
	return r, nil
}

// gcCycle returns the CPU that one garbage collection takes, in milliseconds,
// as the operating system counts it.
func gcCycle() float64 {
	const cycles = 3
	before := ownCPU()
	for range cycles {
		runtime.GC()
	}
	return float64(ownCPU()-before) / cycles / 1e6
}

func (o *options) sessionsFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "n", 1_000_000, "sessions")
}

// sessions measures a table of them, and prints a line a figure.
func sessions(o *options) error {
	if o.Sessions < 100 {
		return fmt.Errorf("-n %d: fewer than 100 sessions say nothing", o.Sessions)
	}
	r, err := benchSessions(o.Sessions)
	if err != nil {
		return err
	}
	return o.printLines(r)
}
