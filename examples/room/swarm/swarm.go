// SPDX-License-Identifier: MIT

package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/framework/client"
	bots "github.com/lifeline-go/lifeline/framework/client/swarm"
)

// Game is what the bots of one process play together: they walk in circles and chat. Every bot
// checks the numbered chat of every bot, itself included: each message must come once and in order.
type Game struct {
	Room   string       // key of the arena
	Rate   float64      // numbered messages a second and bot; if zero, 2
	Own    bool         // each bot checks its own messages only: others come and go meanwhile
	Logger *slog.Logger // if nil, quiet

	said atomic.Uint64 // by all bots
}

// Limits are what must hold in any network: nothing is lost, nothing comes twice.
var Limits = []string{"lost = 0", "duplicated = 0", "reordered = 0", "failed = 0", "said > 0"}

// step is the time between two moves of a bot, on average.
const step = 200 * time.Millisecond

// ears are what a bot has heard. got and wrong belong to the delivery goroutine.
type ears struct {
	from  string            // what the names of the bots begin with
	own   string            // the only name that counts; empty: all do
	got   map[string]uint64 // by sender, the latest number
	heard atomic.Uint64     // chat messages that came once
	bot   *bots.Bot
}

// Play is a bot's life.
func (g *Game) Play(ctx context.Context, b *bots.Bot) error {
	name, _, _ := strings.Cut(b.Name, "-")
	e := &ears{from: name + "-", got: map[string]uint64{}, bot: b}
	if g.Own {
		e.own = b.Name
	}
	for _, name := range []string{"said", "heard", "lost", "duplicated", "reordered"} {
		b.Count(name, 0) // so that it is in the report whatever happens
	}
	client.OnMessage(b.Client, "chat", e.hear)
	client.OnMessage(b.Client, "state", func(State) { b.Count("states", 1) })
	client.OnMessage(b.Client, "seat", func(Seat) {})
	if err := b.Connect(ctx); err != nil {
		return err
	}
	if err := b.Join(ctx, "arena", g.Room); err != nil {
		return err
	}
	// All are in before the first one speaks, so that everybody hears everything.
	if err := b.Together(ctx); err != nil {
		return err
	}
	said, err := g.walk(ctx, b)
	if err != nil {
		return err
	}
	if err := b.Together(ctx); err != nil { // everything is said
		return err
	}
	if !g.Own {
		said = g.said.Load()
	}
	for end := time.Now().Add(12 * time.Second); e.heard.Load() < said && time.Now().Before(end) && ctx.Err() == nil; {
		time.Sleep(20 * time.Millisecond)
	}
	b.Count("heard", e.heard.Load())
	b.Count("lost", said-min(said, e.heard.Load()))
	return nil
}

// walk goes around, chats, and asks for an answer once a second. It returns how many messages
// it has said.
func (g *Game) walk(ctx context.Context, b *bots.Bot) (n uint64, err error) {
	angle, radius := b.Rand.Float64()*2*math.Pi, 100+b.Rand.Float64()*350
	rate := g.Rate
	if rate == 0 {
		rate = 2
	}
	var resets uint64
	for i := b.N; b.Think(ctx, step); i++ {
		if r := b.Stats().Resets; r != resets { // the room may have ended with its server
			if err := b.Join(ctx, "arena", g.Room); err != nil && !wasReset(err) {
				return n, err
			} else if err == nil {
				resets = r
			}
		}
		angle += 0.05
		_ = b.Send("move", Move{X: float32(500 + radius*math.Cos(angle)), Y: float32(500 + radius*math.Sin(angle))})
		for due := b.Rand.Float64() + rate*step.Seconds(); due >= 1; due-- {
			if err := b.Send("chat", Chat{N: n + 1, Text: "hello"}); err == nil {
				n++
				g.said.Add(1)
				b.Count("said", 1)
			}
		}
		if asked := uint64(i); i%5 == 0 {
			var got uint64
			switch err := b.Request(ctx, "ping", asked, &got); {
			case wasReset(err):
			case err != nil:
				return n, err
			case got != asked:
				return n, fmt.Errorf("asked %d and was answered %d", asked, got)
			}
		}
	}
	return n, b.Err()
}

// wasReset tells that an answer was lost with the server that had it, or on the way from there.
func wasReset(err error) bool {
	var e *client.Error
	return errors.As(err, &e) && e.Code == client.ErrorReset
}

// hear checks one numbered message. Players of the page have no number to check.
func (e *ears) hear(m Chat) {
	if !strings.HasPrefix(m.From, e.from) || e.own != "" && e.own != m.From {
		return
	}
	switch last := e.got[m.From]; {
	case m.N == last+1:
		e.got[m.From] = m.N
		e.heard.Add(1)
	case m.N <= last:
		e.bot.Count("duplicated", 1)
	default: // a gap: what comes late now was overtaken
		e.bot.Count("reordered", 1)
		e.got[m.From] = m.N
		e.heard.Add(1)
	}
}

// Client tells in the log what becomes of a bot's session.
func (g *Game) Client(b *bots.Bot) client.Config {
	cfg := client.Config{Ticket: func(context.Context) ([]byte, error) { return []byte(b.Name), nil }, Info: "bot"}
	if g.Logger == nil {
		return cfg
	}
	var lost time.Time
	cfg.Logger = g.Logger
	cfg.OnEvent = func(e client.Event) {
		switch e.Kind {
		case client.EventLost:
			lost = time.Now()
			g.Logger.Info("pulled the cable", "bot", b.Name)
		case client.EventResumed:
			g.Logger.Info("back, nothing lost", "bot", b.Name, "after", time.Since(lost).Round(time.Millisecond))
		}
	}
	return cfg
}
