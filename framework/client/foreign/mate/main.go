// SPDX-License-Identifier: MIT

// Command mate is a player of examples/room in Go, as the console sample of the C#
// client is one, for tests of clients that play together: it waits in the lobby until
// somebody says "play KEY", goes to that match, and prints what it is told there.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/examples/room/swarm"
	"github.com/lifeline-go/lifeline/framework/client"
)

// The messages of a match, as far as they are printed.
type (
	lineup struct {
		ID           int
		Side         float32
		Step, Begins float32
		Players      []swarm.Name
	}
	gem struct {
		ID   int
		X, Y float32
	}
	round struct {
		Tick    uint64
		Left    float32
		Players []struct {
			ID   int
			X, Y float32
		}
		Gems []gem
	}
	got struct {
		N  uint64
		By string
	}
	result struct {
		Scores []struct {
			ID   int
			Name string
			Gems int
		}
	}
)

// mate is the player. me belongs to the handlers, which run one after another.
type mate struct {
	c  *client.Client
	me int
}

func main() {
	addr := flag.String("addr", "tcp://127.0.0.1:7777", "`address` of the server")
	key := flag.String("key", "", "the server's public `key`")
	name := flag.String("name", "mate", "`name` of the player")
	cut := flag.Duration("cut", 0, "how often it pulls its cable; 0: never")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c, err := client.New([]string{*addr}, client.Config{
		ServerKey: *key, Ticket: func(context.Context) ([]byte, error) { return []byte(*name), nil },
		OnEvent: func(e client.Event) { fmt.Println(e.Kind) },
	})
	if err != nil {
		log.Fatal(err)
	}
	m := &mate{c: c}
	m.listen(ctx)
	if err := c.Connect(ctx); err != nil {
		log.Fatal(err)
	}
	if err := c.Join(ctx, "arena", "lobby"); err != nil {
		log.Fatal(err)
	}
	fmt.Println("in arena/lobby")
	var cuts <-chan time.Time // nil: never
	if *cut > 0 {
		t := time.NewTicker(*cut)
		defer t.Stop()
		cuts = t.C
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-cuts:
			c.Cut()
		}
	}
	if err := c.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func (m *mate) listen(ctx context.Context) {
	client.OnMessage(m.c, "state", func(swarm.State) {})
	client.OnMessage(m.c, "seat", func(swarm.Seat) {})
	client.OnMessage(m.c, "chat", func(c swarm.Chat) {
		fmt.Printf("%s: %s\n", c.From, c.Text)
		if key, ok := strings.CutPrefix(c.Text, "play "); ok {
			go func() { // ends with the answer, or ctx
				if _, err := m.c.Room("match").Join(ctx, key); err != nil {
					fmt.Println("not in the match:", err)
				}
			}()
		}
	})
	client.OnMessage(m.c, "lineup", func(l lineup) {
		m.me = l.ID
		var names []string
		for _, p := range l.Players {
			names = append(names, p.Name)
		}
		fmt.Println("lineup:", strings.Join(names, ", "))
	})
	client.OnMessage(m.c, "round", m.walk)
	client.OnMessage(m.c, "got", func(g got) { fmt.Printf("gem %d: %s\n", g.N, g.By) })
	client.OnMessage(m.c, "result", func(r result) {
		var scores []string
		for _, s := range r.Scores {
			scores = append(scores, fmt.Sprintf("%s %d", s.Name, s.Gems))
		}
		fmt.Println("result:", strings.Join(scores, ", "))
	})
	m.c.Room("match").OnLeft(func(_ string, why client.Reason) { fmt.Printf("out of the match, code %d: %s\n", why.Code, why.Text) })
}

// walk goes to the gem that is nearest.
func (m *mate) walk(r round) {
	for _, p := range r.Players {
		if p.ID == m.me && len(r.Gems) > 0 {
			far := func(g gem) float64 { return math.Hypot(float64(g.X-p.X), float64(g.Y-p.Y)) }
			g := slices.MinFunc(r.Gems, func(a, b gem) int { return int(math.Round(far(a) - far(b))) })
			_ = m.c.SendNewest("go", swarm.Move{X: g.X, Y: g.Y})
		}
	}
}
