// SPDX-License-Identifier: MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/framework/client"
)

// Config says what the bots do.
type Config struct {
	Addrs    []string      // carriers to try, in order
	Players  int           // how many bots
	Duration time.Duration // how long they play; zero: until the context ends
	Cut      time.Duration // how often each pulls its cable, more or less; zero: never
	Rebind   time.Duration // how often each changes its local address; zero: never
	Key      string        // the server's public key, for kcp:// addresses
	Rate     float64       // numbered chat messages a second and bot; if zero, 2
	Name     string        // the bots are Name-1, Name-2, ...
	Room     string        // key of the arena
	Logger   *slog.Logger  // if nil, quiet
}

// Report is what the bots counted. Every bot checks the numbered chat of every
// bot, itself included: each message must come once and in order.
type Report struct {
	Players    int     `json:"players"`
	Sent       uint64  `json:"sent"`     // numbered messages
	Received   uint64  `json:"received"` // sent times players, if nothing is wrong
	Lost       uint64  `json:"lost"`
	Duplicated uint64  `json:"duplicated"`
	Reordered  uint64  `json:"reordered"`
	Cuts       uint64  `json:"cuts"`
	Rebinds    uint64  `json:"rebinds"`
	Resumes    uint64  `json:"resumes"`
	Resets     uint64  `json:"resets"` // the server gave up a bot's buffer
	Failed     uint64  `json:"failed"` // bots that did not get in or did not last
	States     uint64  `json:"states"`
	RTTp50     float64 `json:"rtt_p50_ms"`
	RTTp99     float64 `json:"rtt_p99_ms"`
}

// Good reports whether every message came once and in order.
func (r Report) Good() bool {
	return r.Lost == 0 && r.Duplicated == 0 && r.Reordered == 0 && r.Failed == 0 && r.Sent > 0
}

// bot is one player. got, wrong and lost belong to the client's delivery goroutine until the
// client is closed.
type bot struct {
	cfg    *Config
	name   string
	c      *client.Client
	sent   uint64
	got    map[string]*stream
	total  atomic.Uint64 // chat messages that came once and in order
	wrong  struct{ duplicated, reordered uint64 }
	states atomic.Uint64
	lost   time.Time // when the link went
	rtts   []float64
	err    error
}

// stream is what a bot has seen of one sender.
type stream struct{ n uint64 }

// Run plays and returns what was counted.
func Run(ctx context.Context, cfg Config) Report {
	if cfg.Rate == 0 {
		cfg.Rate = 2
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	bots := make([]*bot, cfg.Players)
	each := func(f func(*bot)) {
		var wg sync.WaitGroup
		for _, b := range bots {
			wg.Go(func() { f(b) })
		}
		wg.Wait()
	}
	for i := range bots {
		bots[i] = &bot{cfg: &cfg, name: fmt.Sprintf("%s-%d", cfg.Name, i+1), got: map[string]*stream{}}
	}
	// All are in before the first one speaks, so that everybody hears everything.
	each(func(b *bot) { b.join(ctx) })
	playing, stop := ctx, func() {}
	if cfg.Duration > 0 {
		playing, stop = context.WithTimeout(ctx, cfg.Duration)
	}
	each(func(b *bot) { b.play(playing) })
	stop()
	var sent uint64
	for _, b := range bots {
		sent += b.sent
	}
	each(func(b *bot) { b.settle(ctx, sent) })
	return count(bots, sent)
}

func (b *bot) join(ctx context.Context) {
	c, err := client.New(b.cfg.Addrs, client.Config{
		Ticket: func(context.Context) ([]byte, error) { return []byte(b.name), nil }, Info: "bot", ServerKey: b.cfg.Key, Logger: b.cfg.Logger, OnEvent: b.changed,
	})
	if err != nil {
		b.err = err
		return
	}
	b.c = c
	client.OnMessage(c, "chat", b.hear)
	client.OnMessage(c, "state", func(State) { b.states.Add(1) })
	client.OnMessage(c, "seat", func(Seat) {})
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if b.err = c.Connect(ctx); b.err == nil {
		b.err = c.Join(ctx, "arena", b.cfg.Room)
	}
}

// changed tells what becomes of the bot's session.
func (b *bot) changed(s client.Event) {
	switch s.Kind {
	case client.EventLost:
		b.lost = time.Now()
		b.cfg.Logger.Info("pulled the cable", "bot", b.name)
	case client.EventResumed:
		b.cfg.Logger.Info("back, nothing lost", "bot", b.name, "after", time.Since(b.lost).Round(time.Millisecond),
			"heard", b.total.Load(), "duplicated", b.wrong.duplicated, "missing", b.wrong.reordered)
	}
}

// hear checks one numbered message.
func (b *bot) hear(m Chat) {
	s := b.got[m.From]
	if s == nil {
		s = new(stream)
		b.got[m.From] = s
	}
	switch {
	case m.N == s.n+1:
		s.n++
		b.total.Add(1)
	case m.N <= s.n:
		b.wrong.duplicated++
	default:
		b.wrong.reordered++ // a gap: whatever comes late now was overtaken
		s.n = m.N
		b.total.Add(1)
	}
}

// play moves in circles, chats, and pulls the cable now and then.
func (b *bot) play(ctx context.Context) {
	if b.err != nil {
		return
	}
	rng := rand.New(rand.NewPCG(rand.Uint64(), 1))
	around := func(d time.Duration) time.Duration { return d/2 + time.Duration(rng.Int64N(int64(d))) }
	every := time.Duration(float64(time.Second) / b.cfg.Rate)
	move, chat, ping := time.NewTicker(200*time.Millisecond), time.NewTimer(around(every)), time.NewTicker(time.Second)
	defer move.Stop()
	defer chat.Stop()
	defer ping.Stop()
	var cut, rebind <-chan time.Time
	if b.cfg.Rebind > 0 {
		rebind = time.After(around(b.cfg.Rebind))
	}
	if b.cfg.Cut > 0 {
		cut = time.After(around(b.cfg.Cut))
	}
	angle, radius := rng.Float64()*2*math.Pi, 100+rng.Float64()*350
	for b.err == nil {
		select {
		case <-ctx.Done():
			return
		case <-b.c.Done():
			b.err = fmt.Errorf("the session ended: %w", b.c.Err())
		case <-move.C:
			angle += 0.05
			_ = b.c.Send("move", Move{X: float32(500 + radius*math.Cos(angle)), Y: float32(500 + radius*math.Sin(angle))})
		case <-chat.C:
			chat.Reset(around(every))
			if err := b.c.Send("chat", Chat{N: b.sent + 1, Text: "hello"}); err == nil {
				b.sent++
			}
		case <-ping.C:
			b.ping(ctx)
		case <-cut:
			cut = time.After(around(b.cfg.Cut))
			b.c.Cut()
		case <-rebind:
			rebind = time.After(around(b.cfg.Rebind))
			b.c.Rebind()
		}
	}
}

func (b *bot) ping(ctx context.Context) {
	start := time.Now()
	var n uint64
	if err := b.c.Request(ctx, "ping", uint64(start.UnixNano()), &n); err == nil && n == uint64(start.UnixNano()) {
		b.rtts = append(b.rtts, float64(time.Since(start).Microseconds())/1000)
	}
}

// settle waits until the bot has heard everything that was sent, or a while.
func (b *bot) settle(ctx context.Context, sent uint64) {
	if b.c == nil {
		return
	}
	if b.err == nil && b.cfg.Duration > 0 {
		for end := time.Now().Add(15 * time.Second); b.total.Load() < sent && time.Now().Before(end) && ctx.Err() == nil; {
			time.Sleep(20 * time.Millisecond)
		}
	}
	if err := b.c.Close(); err != nil && b.err == nil {
		b.err = err
	}
}

func count(bots []*bot, sent uint64) Report {
	r := Report{Players: len(bots), Sent: sent}
	var rtts []float64
	for _, b := range bots {
		heard := b.total.Load()
		r.Received += heard
		r.Lost += max(sent, heard) - heard
		r.Duplicated += b.wrong.duplicated
		r.Reordered += b.wrong.reordered
		r.States += b.states.Load()
		rtts = append(rtts, b.rtts...)
		if b.c != nil {
			st := b.c.Stats()
			r.Cuts += st.Cuts
			r.Rebinds += st.Rebinds
			r.Resumes += st.Resumes
			r.Resets += st.Resets
		}
		if b.err != nil && !errors.Is(b.err, context.Canceled) {
			r.Failed++
			b.cfg.Logger.Error("bot failed", "bot", b.name, "error", b.err)
		}
	}
	slices.Sort(rtts)
	if n := len(rtts); n > 0 {
		r.RTTp50, r.RTTp99 = rtts[n/2], rtts[n*99/100]
	}
	return r
}
