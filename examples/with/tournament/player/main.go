// SPDX-License-Identifier: MIT

// Command player plays the tournament in a terminal: one line, one wish.
//
//	go run ./tournament/player -user ann
//	find             look for a match
//	invite bob       into a party; bob says: join
//	say hello        to the lobby
//	claim 4          walk to a cell, 0 to 8, and claim it
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/framework/client"
)

// board is what the server tells of a match.
type board struct {
	Cells   string
	Players [2]string
	Turn    string
	Winner  string
	Over    bool
}

// profile is what the server knows of a user.
type profile struct {
	Name        string
	Played, Won int
	Banned      bool
	Rating      float64
}

type player struct {
	c       *client.Client
	queue   *client.Queue
	party   *client.Party
	invited chan uint64 // the last invitation
}

func main() {
	user := flag.String("user", "ann", "name")
	addr := flag.String("addr", "ws://127.0.0.1:7778", "of the server")
	flag.Parse()
	if flag.NArg() > 0 { // what follows it would not be read
		log.Fatalf("%q is no flag", flag.Arg(0))
	}
	log.SetFlags(0)
	c, err := client.New([]string{*addr}, client.Config{
		Ticket: func(context.Context) ([]byte, error) { return []byte(*user), nil },
		Logger: slog.New(slog.DiscardHandler),
		OnEvent: func(e client.Event) {
			switch e.Kind {
			case client.EventLost, client.EventFailed, client.EventRefused, client.EventGone: // it tries again by itself
				fmt.Println("  !", e.Kind, e.Err)
			case client.EventResumed, client.EventReset:
				fmt.Println("  !", e.Kind)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	p := &player{c, client.NewQueue(c), client.NewParty(c), make(chan uint64, 1)}
	p.listen()
	if err := c.Connect(context.Background()); err != nil {
		log.Fatal(err)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := p.do(strings.TrimSpace(lines.Text())); err != nil {
			fmt.Println("   ", err)
		}
	}
	_ = c.Close()
}

// listen prints what the server tells.
func (p *player) listen() {
	p.queue.OnTicket(func(t client.Ticket) {
		switch t.State {
		case client.TicketWaiting:
			fmt.Printf("  . waiting in %q, %d before you\n", t.Queue, t.Before)
		case client.TicketMatched:
			fmt.Printf("  . matched after %v\n", t.Waited.Round(100*time.Millisecond))
		case client.TicketNone:
			fmt.Println("  . out of the queue:", t.Text)
		}
	})
	p.party.OnInvited(func(i client.Invitation) {
		select {
		case <-p.invited:
		default:
		}
		p.invited <- i.Party
		fmt.Printf("  @ %s invites you: join\n", i.By)
	})
	p.party.OnChanged(func(s client.PartyState) {
		names := []string{}
		for _, m := range s.Members {
			names = append(names, m.User)
		}
		fmt.Println("  @ party:", strings.Join(names, ", "), s.Why)
	})
	client.OnMessage(p.c, "profile", func(u profile) {
		fmt.Printf("  = %s: rating %.0f, %d played, %d won\n", u.Name, u.Rating, u.Played, u.Won)
	})
	client.OnMessage(p.c, "said", func(text string) { fmt.Println("  >", text) })
	client.OnMessage(p.c, "places", func([2][2]float32) {})
	client.OnMessage(p.c, "board", func(b board) { fmt.Print(b.show()) })
	client.OnMessage(p.c, "result", func(b board) {
		if b.Winner == "" {
			b.Winner = "nobody"
		}
		fmt.Printf("  = %s - %s: %s wins\n", b.Players[0], b.Players[1], b.Winner)
	})
}

func (b *board) show() string {
	c := strings.Join(strings.Split(b.Cells, ""), " ")
	state := b.Turn + " to move"
	if b.Over {
		state = "over"
	}
	return fmt.Sprintf("    %s   %s (x) - %s (o)\n    %s   %s\n    %s\n", c[:5], b.Players[0], b.Players[1], c[6:11], state, c[12:])
}

// do does what a line says.
func (p *player) do(line string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "find":
		return p.queue.Enter(ctx, client.Wish{Queue: "duel"})
	case "cancel":
		return p.queue.Cancel(ctx)
	case "invite":
		return p.party.Invite(ctx, rest)
	case "join":
		select {
		case id := <-p.invited:
			return p.party.Join(ctx, id)
		default:
			return errors.New("nobody has invited you")
		}
	case "say":
		return p.c.Send("say", rest)
	case "claim":
		return p.claim(ctx, rest)
	}
	return errors.New("find, cancel, invite NAME, join, say TEXT, claim CELL")
}

// claim walks to a cell, first to the corner of the arena and then across, and claims it.
func (p *player) claim(ctx context.Context, cell string) error {
	n, err := strconv.Atoi(cell)
	if err != nil || n < 0 || n > 8 {
		return errors.New("cells are 0 to 8")
	}
	x, y := float64(n%3), float64(n/3)
	for _, s := range []struct{ vx, vy, seconds float64 }{{-150, -150, 2.2}, {150, 0, (x*100 + 50) / 150}, {0, 150, (y*100 + 50) / 150}, {}} {
		if err := p.c.Send("steer", [2]float32{float32(s.vx), float32(s.vy)}); err != nil {
			return err
		}
		time.Sleep(time.Duration(s.seconds * float64(time.Second)))
	}
	return p.c.Request(ctx, "claim", nil, nil)
}
