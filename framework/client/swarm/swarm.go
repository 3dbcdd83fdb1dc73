// SPDX-License-Identifier: MIT

package swarm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/framework/client"
)

// Config says who plays, where and for how long. Addrs has no default.
type Config struct {
	// Addrs are the addresses of the server, tried in their order: client.New.
	Addrs []string
	// Spread lets bot n begin with address n instead of the first, so that each has its share.
	Spread bool
	// ServerKey is the server's public key, which kcp:// and stcp:// need.
	ServerKey string

	// Bots is how many play. If zero, 100.
	Bots int
	// Ramp is the time over which they start, evenly. If zero, 1 ms for each. If negative, they
	// start at once.
	Ramp time.Duration
	// Duration is how long they play once all have started. If zero, until the context of Run ends
	// or all have returned.
	Duration time.Duration
	// Settle is how long a bot may take to return when the play is over. If zero, 15 s.
	Settle time.Duration
	// Cut is how often each bot's link is cut, on average. If zero, never.
	Cut time.Duration
	// Rebind is how often each bot's local address changes, on average: sealed KCP only. If zero,
	// never.
	Rebind time.Duration

	// Limits are what must hold: "move p99 < 50ms", "errors < 0.1%", "resets = 0". The name of a
	// request is followed by p50, p90, p95, p99, p999, max, mean, count or errors. Without such a
	// name it is one of the report's counters, or of Bot.Count.
	Limits []string

	// Name is what the bots are called: Name-1, Name-2 and so on. If empty, "bot".
	Name string
	// Client returns the configuration of a bot's client: tickets, bounds, sockets. ServerKey,
	// OnEvent and Logger are added to it. It is called for each bot, and once before for the first,
	// to see whether it can work. If nil, the ticket is the bot's name.
	Client func(b *Bot) client.Config
	// Seed makes the bots' random numbers: the same ones with the same seed.
	Seed uint64
	// Progress is called once a second with what has happened since. If nil, nothing is.
	Progress func(Sample)
	// Logger takes what the clients log. If nil, nothing does: errors are in the report.
	Logger *slog.Logger
}

// Play is one bot's life. It registers handlers, connects, plays while b.Think or b.Playing says so,
// and returns: an error makes it a bot that failed. ctx ends when the bot must return at once.
type Play func(ctx context.Context, b *Bot) error

func (c Config) withDefaults() (Config, error) {
	if len(c.Addrs) == 0 {
		return c, errors.New("swarm: no address to connect to")
	}
	if c.Bots < 0 || c.Duration < 0 || c.Settle < 0 || c.Cut < 0 || c.Rebind < 0 {
		return c, fmt.Errorf("swarm: Bots %d, Duration %v, Settle %v, Cut %v or Rebind %v is negative", c.Bots, c.Duration, c.Settle, c.Cut, c.Rebind)
	}
	c.Bots = cmp.Or(c.Bots, 100)
	c.Ramp = cmp.Or(c.Ramp, time.Duration(c.Bots)*time.Millisecond)
	c.Settle = cmp.Or(c.Settle, 15*time.Second)
	c.Name = cmp.Or(c.Name, "bot")
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return c, nil
}

// swarm is a run.
type swarm struct {
	cfg    Config // immutable
	play   Play
	began  time.Time
	over   chan struct{} // closed when the play is over: bots return by themselves
	meters meters
	meet   meeting

	started, playing, connected                       atomic.Int64
	entered, failed                                   atomic.Uint64
	cuts, losses, resumes, resets, opens, undelivered atomic.Uint64

	mu       sync.Mutex // guards the rest
	totals   client.Stats
	carriers map[string]int
}

// Run lets the bots play and returns what was measured. When ctx ends, or the time is up, they have
// Settle to return. The error is one of the configuration: what goes wrong later is in the report.
func Run(ctx context.Context, cfg Config, play Play) (*Report, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	limits, err := parseLimits(cfg.Limits)
	if err != nil {
		return nil, err
	}
	if err := check(cfg); err != nil {
		return nil, err
	}
	s := &swarm{cfg: cfg, play: play, began: now(), over: make(chan struct{}), carriers: map[string]int{}}
	s.meet.init(cfg.Bots)
	watch := startWatch(s)
	hard, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // ends when the bots must return
	defer cancel(nil)
	all := make(chan struct{})
	var bots sync.WaitGroup
	s.ramp(ctx, func(b *Bot) { bots.Go(func() { b.run(hard) }) })
	go func() { bots.Wait(); close(all) }() // ends with the bots
	s.last(ctx, all)
	close(s.over)
	select {
	case <-all:
	case <-time.After(cfg.Settle):
		cancel(errUnanswered)
		select {
		case <-all:
		case <-time.After(5 * time.Second): // a bot that does not heed its context
		}
	}
	samples := watch.stop()
	return s.report(samples, limits, ctx.Err() != nil), nil
}

// errUnanswered is the cause of the end of the bots' context.
var errUnanswered = errors.New("not done when the time to settle was over")

// check makes a client that is not used: what is wrong with its configuration is wrong with all.
func check(cfg Config) error {
	s := &swarm{cfg: cfg}
	c, err := client.New(cfg.Addrs, s.clientConfig(newBot(s, 1)))
	if err == nil {
		_ = c.Close()
	}
	return err
}

// ramp starts the bots one after the other. Those that ctx leaves no time for never play.
func (s *swarm) ramp(ctx context.Context, start func(*Bot)) {
	step := max(s.cfg.Ramp, 0) / time.Duration(s.cfg.Bots)
	for n := 1; n <= s.cfg.Bots; n++ {
		if wait := s.began.Add(time.Duration(n-1) * step).Sub(now()); wait > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
		if ctx.Err() != nil {
			s.meet.leave(0, s.cfg.Bots-n+1)
			return
		}
		s.started.Add(1)
		start(newBot(s, n))
	}
}

// last returns when the play is over.
func (s *swarm) last(ctx context.Context, all <-chan struct{}) {
	var up <-chan time.Time
	if s.cfg.Duration > 0 {
		up = time.After(s.cfg.Duration)
	}
	select {
	case <-ctx.Done():
	case <-up:
	case <-all:
	}
}

// clientConfig is that of one bot.
func (s *swarm) clientConfig(b *Bot) client.Config {
	cfg := client.Config{Ticket: func(context.Context) ([]byte, error) { return []byte(b.Name), nil }, Info: "swarm"}
	if s.cfg.Client != nil {
		cfg = s.cfg.Client(b)
	}
	cfg.ServerKey = cmp.Or(cfg.ServerKey, s.cfg.ServerKey)
	cfg.Logger = cmp.Or(cfg.Logger, s.cfg.Logger)
	told := cfg.OnEvent
	cfg.OnEvent = func(e client.Event) {
		b.event(e)
		if told != nil {
			told(e)
		}
	}
	return cfg
}
