// SPDX-License-Identifier: MIT

// Package path is what a bad network does to packets, as arithmetic: it is told
// when a packet of a size enters, and tells when it comes out, if it does. No
// socket, goroutine or clock; the same seed and the same calls do the same.
package path

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Config is one direction of a network. The zero value delivers everything at
// once.
type Config struct {
	// Delay is what every packet takes, and Jitter what it takes more at most,
	// evenly spread. Jitter alone reorders nothing.
	Delay, Jitter time.Duration
	// Loss, Duplicate and Reorder are shares of the packets, 0 to 1. A
	// reordered one is held back by Hold, so that those behind it overtake it.
	Loss, Duplicate, Reorder float64
	// Hold, if zero, is 10 ms.
	Hold time.Duration
	// Rate is in bits a second. If zero, there is no limit.
	Rate float64
	// Queue is how long a packet may wait for its turn at that rate; who would
	// wait longer is lost. If zero, 100 ms.
	Queue time.Duration
	// Seed makes the lottery repeatable.
	Seed uint64
}

// Check refuses what makes no sense.
func (c *Config) Check() error {
	for name, share := range map[string]float64{"Loss": c.Loss, "Duplicate": c.Duplicate, "Reorder": c.Reorder} {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("path: %s %v is outside 0 ... 1", name, share)
		}
	}
	if c.Delay < 0 || c.Jitter < 0 || c.Hold < 0 || c.Queue < 0 || c.Rate < 0 {
		return errors.New("path: nothing may be negative")
	}
	return nil
}

// Path is one direction. Owned by one goroutine.
type Path struct {
	cfg  Config
	rng  *rand.Rand
	free time.Duration // when the line has sent what it has
	last time.Duration // when the latest packet in order comes out

	// Counts of packets.
	Taken, Lost, Full uint64
	Bytes             uint64 // of those taken
}

// New returns a path whose lottery begins with the seed.
func New(cfg Config) *Path {
	return &Path{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 1))}
}

// Take tells when a packet of size bytes that enters now comes out: never, once
// or twice.
func (p *Path) Take(now time.Duration, size int) (out []time.Duration) {
	p.Taken++
	p.Bytes += uint64(size)
	// Every lottery is drawn for every packet, so that one figure of Config
	// changes nothing about the others.
	lost, twice, late := p.draw(p.cfg.Loss), p.draw(p.cfg.Duplicate), p.draw(p.cfg.Reorder)
	jitter := time.Duration(p.rng.Float64() * float64(p.cfg.Jitter))
	start := max(now, p.free)
	if p.cfg.Rate > 0 {
		if start-now > cmp.Or(p.cfg.Queue, 100*time.Millisecond) {
			p.Full++
			return nil
		}
		p.free = start + time.Duration(float64(8*size)/p.cfg.Rate*float64(time.Second))
		start = p.free
	}
	if lost {
		p.Lost++
		return nil
	}
	at := start + p.cfg.Delay + jitter
	if late {
		at += cmp.Or(p.cfg.Hold, 10*time.Millisecond)
	} else {
		at = max(at, p.last)
		p.last = at
	}
	out = append(out, at)
	if twice {
		out = append(out, at)
	}
	return out
}

func (p *Path) draw(share float64) bool { return p.rng.Float64() < share }
