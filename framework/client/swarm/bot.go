// SPDX-License-Identifier: MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/framework/client"
)

// Bot is one player. Its client's methods are there as they are, except those that measure. Play owns
// N, Name and Rand; the methods are safe to call from any goroutine, handlers included.
type Bot struct {
	*client.Client
	N    int    // counts the bots from 1
	Name string // Config.Name and N
	Rand *rand.Rand

	s      *swarm
	met    int       // times that Together was called
	up     bool      // there is a link; of the delivery goroutine
	lost   time.Time // when the link went; of the delivery goroutine
	mu     sync.Mutex
	rng    *rand.Rand  // of the timers; guarded by mu
	cut    *time.Timer // guarded by mu
	rebind *time.Timer // guarded by mu
	done   bool        // guarded by mu
	late   atomic.Bool // something that it measures was not done in time
}

func newBot(s *swarm, n int) *Bot {
	return &Bot{
		N: n, Name: fmt.Sprintf("%s-%d", s.cfg.Name, n), s: s,
		Rand: rand.New(rand.NewPCG(s.cfg.Seed, uint64(n))), rng: rand.New(rand.NewPCG(s.cfg.Seed+1, uint64(n))),
	}
}

// run is the bot's life from its start to the end of its session.
func (b *Bot) run(ctx context.Context) {
	s := b.s
	addrs := s.cfg.Addrs
	if k := b.N % len(addrs); s.cfg.Spread {
		addrs = append(append([]string(nil), addrs[k:]...), addrs[:k]...)
	}
	c, err := client.New(addrs, s.clientConfig(b))
	if err == nil {
		b.Client = c
		s.playing.Add(1)
		err = b.life(ctx)
		s.playing.Add(-1)
	}
	s.meet.leave(b.met, 1)
	if err != nil && (b.late.Load() || !(ctx.Err() != nil && errors.Is(err, ctx.Err()))) {
		s.failed.Add(1)
		s.meters.failed("bot", err)
	}
	if c != nil {
		b.end()
	}
}

// life is what the game's bot does. A panic of it ends this bot alone.
func (b *Bot) life(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return b.s.play(ctx, b)
}

// end closes the session and adds up what there was.
func (b *Bot) end() {
	b.mu.Lock()
	b.done = true
	for _, t := range []*time.Timer{b.cut, b.rebind} {
		if t != nil {
			t.Stop()
		}
	}
	b.mu.Unlock()
	s, carrier := b.s, b.Stats().Carrier
	if err := b.Err(); err != nil { // by the server
		s.meters.failed("session", err)
	}
	_ = b.Close()
	select {
	case <-b.Done():
	case <-time.After(5 * time.Second): // a handler that does not return
	}
	st := b.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	if carrier != "" {
		s.carriers[carrier]++
	}
	s.totals.Rebinds += st.Rebinds
	s.totals.Dials += st.Dials
	s.totals.Failures += st.Failures
	s.totals.Sent += st.Sent
	s.totals.Received += st.Received
	s.totals.Dropped += st.Dropped
	s.totals.BytesIn += st.BytesIn
	s.totals.BytesOut += st.BytesOut
}

// event takes note of what became of the session. It runs on the delivery goroutine.
func (b *Bot) event(e client.Event) {
	s := b.s
	link := func(up bool) {
		if up != b.up {
			b.up = up
			s.connected.Add(map[bool]int64{true: 1, false: -1}[up])
		}
	}
	switch e.Kind {
	case client.EventOpened:
		s.opens.Add(1)
		link(true)
	case client.EventLost:
		s.losses.Add(1)
		b.lost = now()
		link(false)
	case client.EventResumed, client.EventReset:
		if e.Kind == client.EventReset {
			s.resets.Add(1)
			s.undelivered.Add(uint64(len(e.Undelivered)))
		} else {
			s.resumes.Add(1)
		}
		if !b.lost.IsZero() { // else by a token of an earlier run
			s.meters.measure("resume", since(b.lost))
		}
		link(true)
	case client.EventGone, client.EventClosed:
		link(false)
		s.undelivered.Add(uint64(len(e.Undelivered)))
		if e.Kind == client.EventGone {
			s.meters.failed("session", e.Err)
		}
	case client.EventRefused, client.EventFailed:
		s.meters.failed("link", e.Err)
	}
}

// Connect opens the session and measures how long that takes, as "connect". From then on the link is
// cut and the address changed as Config says. The error is client.Client's.
func (b *Bot) Connect(ctx context.Context) error {
	return b.measured(ctx, "connect", func() error {
		err := b.Client.Connect(ctx)
		if err == nil {
			b.s.entered.Add(1)
			b.again(&b.cut, b.s.cfg.Cut, func() {
				b.s.cuts.Add(1)
				b.Cut()
			})
			b.again(&b.rebind, b.s.cfg.Rebind, func() { b.Rebind() })
		}
		return err
	})
}

// again calls f every mean or so while the bot plays.
func (b *Bot) again(t **time.Timer, mean time.Duration, f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if mean <= 0 || b.done {
		return
	}
	*t = time.AfterFunc(around(b.rng, mean), func() {
		if b.Playing() {
			f()
			b.again(t, mean, f)
		}
	})
}

// around is d on average, from half of it to one and a half.
func around(rng *rand.Rand, d time.Duration) time.Duration {
	return max(d/2+time.Duration(rng.Int64N(int64(max(d, 1)))), 1)
}

// Request is client.Client's, measured under the route.
func (b *Bot) Request(ctx context.Context, route string, v, reply any) error {
	return b.measured(ctx, route, func() error { return b.Client.Request(ctx, route, v, reply) })
}

// Join is client.Client's, measured as "join" and the room's type.
func (b *Bot) Join(ctx context.Context, room, key string) error {
	return b.measured(ctx, "join "+room, func() error { return b.Client.Join(ctx, room, key) })
}

// JoinAny is client.Client's, measured as Join is.
func (b *Bot) JoinAny(ctx context.Context, room string) (key string, err error) {
	err = b.measured(ctx, "join "+room, func() (err error) {
		key, err = b.Client.JoinAny(ctx, room)
		return err
	})
	return key, err
}

// measured counts what f takes, or its error. What the bot itself has given up is neither.
func (b *Bot) measured(ctx context.Context, name string, f func() error) error {
	began := now()
	err := f()
	switch {
	case err == nil:
		b.s.meters.measure(name, since(began))
	case errors.Is(err, context.Canceled) && context.Cause(ctx) == errUnanswered:
		b.late.Store(true)
		b.s.meters.errored(name, errUnanswered)
	case ctx.Err() != nil && errors.Is(err, context.Canceled): // not the server's doing
	default:
		b.s.meters.errored(name, err)
	}
	return err
}

// Measure adds a duration that the bot has measured by itself, as of a message from one bot to
// another, to those of a name.
func (b *Bot) Measure(name string, d time.Duration) { b.s.meters.measure(name, d) }

// Count adds n to a counter of the report, as of messages that came twice. Zero makes it one that a
// limit may name whatever happens.
func (b *Bot) Count(name string, n uint64) { b.s.meters.count(name, n) }

// Playing reports whether the play goes on.
func (b *Bot) Playing() bool {
	select {
	case <-b.s.over:
		return false
	default:
		return true
	}
}

// Think waits for the time that a player needs, mean on average and from half of it to one and a
// half. It reports whether the play goes on: false ends the bot's loop.
func (b *Bot) Think(ctx context.Context, mean time.Duration) bool {
	t := time.NewTimer(around(b.Rand, mean))
	defer t.Stop()
	select {
	case <-t.C:
		return b.Playing() && ctx.Err() == nil && b.Err() == nil
	case <-b.s.over:
	case <-b.Done():
	case <-ctx.Done():
	}
	return false
}

// Together waits until every bot that still plays has called it as often as this one has: so that
// nobody speaks before all are there. The error is ctx's.
func (b *Bot) Together(ctx context.Context) error {
	b.met++
	select {
	case <-b.s.meet.arrive(b.met):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
