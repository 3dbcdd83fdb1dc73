// SPDX-License-Identifier: MIT

package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

// Dial connects a player by a library that has a client of its own. What is
// written is one message. from is the player's own address.
type Dial func(ctx context.Context, from netip.Addr, to netip.AddrPort) (io.ReadWriteCloser, error)

// Crew does what a Fleet of bare streams does, with players that come with
// goroutines and timers of their own because their library knows no other way.
type Crew struct {
	cfg     Config
	dial    Dial
	start   time.Time
	members []member

	mu sync.Mutex
	// Guarded by mu.
	busy, counting, closed bool
	hist                   chart.Histogram
	lateness               Lateness // Write alone: when its library reads is its own business
	counts                 Counts
	err                    error // the first
}

// member is one of a crew.
type member struct {
	crew    *Crew
	index   int
	conn    io.ReadWriteCloser
	waiting []time.Duration // when the requests on the way were due; guarded by crew.mu

	writing sync.Mutex
	// Guarded by writing.
	asked   uint64
	request []byte

	// Owned by who listens.
	heard        uint64
	answer, want []byte
}

// NewCrew makes players that are not connected yet.
func NewCrew(cfg Config, dial Dial) (*Crew, error) {
	cfg.Bare = true
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	c := &Crew{cfg: cfg, dial: dial, start: time.Now(), members: make([]member, cfg.Sessions)}
	for i := range c.members {
		want := makeAnswer(cfg)
		c.members[i] = member{crew: c, index: i, request: makeRequest(cfg), want: want, answer: slices.Clone(want)}
	}
	return c, nil
}

func (c *Crew) now() time.Duration { return time.Since(c.start) }

// Open connects everybody, a bounded number at a time. Who has had a first
// answer is there.
func (c *Crew) Open(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	room := make(chan struct{}, c.cfg.Opening)
	failed := make(chan error, len(c.members))
	for i := range c.members {
		room <- struct{}{}
		go func() {
			failed <- c.members[i].open(ctx)
			<-room
		}()
	}
	var errs []error
	for range c.members {
		if err := <-failed; err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("load: %d of %d players did not connect: %w", len(errs), len(c.members), errs[0])
	}
	return nil
}

func (m *member) open(ctx context.Context) (err error) {
	c := m.crew
	if m.conn, err = c.dial(ctx, playerAddr(m.index, c.cfg.Server.Addr()), c.cfg.Server); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = m.conn.Close() })
	defer stop()
	if err := m.ask(c.now()); err != nil {
		return err
	}
	if _, err := m.hear(); err != nil {
		return err
	}
	go m.listen() // ends with the connection
	return nil
}

// ask sends the next request, which was due at at.
func (m *member) ask(at time.Duration) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	m.crew.mu.Lock()
	m.waiting = append(m.waiting, at)
	if m.crew.counting {
		m.crew.lateness.Write.Add(m.crew.now() - at)
	}
	m.crew.mu.Unlock()
	_, err := m.conn.Write(number(m.request, m.crew.cfg.Size, m.index, m.asked))
	m.asked++
	return err
}

// hear takes one answer. It tells whether the loop is closed and goes on.
func (m *member) hear() (again bool, err error) {
	if _, err := io.ReadFull(m.conn, m.answer); err != nil {
		return false, err
	}
	right := bytes.Equal(m.answer, number(m.want, m.crew.cfg.Answer, m.index, m.heard))
	m.heard++
	c := m.crew
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(m.waiting) == 0 || !right {
		c.counts.Wrong++
		return false, errors.New("load: an answer is not what was sent")
	}
	if c.counting {
		c.hist.Add(c.now() - m.waiting[0])
	}
	m.waiting = m.waiting[1:]
	return c.busy && c.cfg.Rate == 0, nil
}

func (m *member) listen() {
	for {
		again, err := m.hear()
		if err == nil && again {
			err = m.ask(m.crew.now())
		}
		if err != nil {
			m.crew.lost(err)
			return
		}
	}
}

func (c *Crew) lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.counts.Lost++
		if c.err == nil {
			c.err = err
		}
	}
}

// pace asks at the player's share of the rate: all of them in turn.
func (m *member) pace(began time.Duration) {
	gap := time.Duration(float64(time.Second) / m.crew.cfg.Rate)
	for at := began + gap*time.Duration(m.index); ; at += gap * time.Duration(len(m.crew.members)) {
		time.Sleep(at - m.crew.now())
		if m.ask(at) != nil {
			return // who listens says so
		}
	}
}

// Play lets the players ask for d. Between two calls they go on, uncounted.
func (c *Crew) Play(d time.Duration) {
	c.mu.Lock()
	begins := !c.busy
	c.busy, c.counting = true, true
	c.mu.Unlock()
	end := c.now() + d
	for i := range c.members {
		m := &c.members[i]
		switch {
		case !begins:
		case c.cfg.Rate > 0:
			go m.pace(c.now()) // ends with the connection
		default:
			for range c.cfg.Window {
				if err := m.ask(c.now()); err != nil {
					break // who listens says so
				}
			}
		}
	}
	time.Sleep(end - c.now())
	c.mu.Lock()
	c.counting = false
	c.mu.Unlock()
}

// Reset forgets what was counted so far.
func (c *Crew) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hist.Reset()
	c.lateness.reset()
	c.counts = Counts{}
}

// Result is what was counted since the last Reset, how many requests have no
// answer yet, and what went wrong first.
func (c *Crew) Result() (h *chart.Histogram, counts Counts, waiting uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts = c.counts
	for i := range c.members {
		w := c.members[i].waiting
		waiting += uint64(len(w))
		if len(w) > 0 && c.now()-w[0] > patience {
			counts.Timeout++
		}
	}
	return &c.hist, counts, waiting, c.err
}

// Close ends all connections.
func (c *Crew) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	for i := range c.members {
		if conn := c.members[i].conn; conn != nil {
			_ = conn.Close()
		}
	}
}
