// SPDX-License-Identifier: MIT

// Command chat is a server of rooms in which everybody reads the same lines in the
// same order, those who come late and those who were away too.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/lifeline-go/lifeline/framework"
)

// Line is something that was said.
type Line struct {
	N          uint64 // counts from 1 in each room
	From, Text string
}

const (
	maxText  = 500 // bytes of a line
	keptBack = 50  // lines that a newcomer is shown
)

// codeEmpty refuses a line with nothing in it.
const codeEmpty = framework.GameError + 1

// Chat is one room.
type Chat struct {
	*framework.Room
	said  uint64
	lines []Line // the last ones
}

// OnJoin shows a newcomer what was said before.
func (c *Chat) OnJoin(p *framework.Player) error { return p.Push("lines", c.lines) }

// OnSnapshot does the same for a player who was away for so long that more was said
// than its buffer holds.
func (c *Chat) OnSnapshot(p *framework.Player) { _ = p.Push("lines", c.lines) }

// Say answers with the number of the line.
func (c *Chat) Say(p *framework.Player, text string) (uint64, error) {
	if text = strings.TrimSpace(text); text == "" {
		return 0, framework.Fail(codeEmpty, "nothing was said")
	}
	c.said++
	line := Line{c.said, p.User(), text}
	if c.lines = append(c.lines, line); len(c.lines) > keptBack {
		c.lines = slices.Delete(c.lines, 0, 1)
	}
	return line.N, c.Broadcast("line", line)
}

func newServer(cfg framework.Config) (*framework.Server, error) {
	cfg.Strict = true // while it is developed: what comes to nothing is told
	srv, err := framework.New(cfg)
	if err != nil {
		return nil, err
	}
	rooms := framework.AddRoom(srv, "chat", func(r *framework.Room) *Chat { return &Chat{Room: r} })
	framework.OnRoomRequest(rooms, "say", (*Chat).Say).Max(maxText)
	srv.Sends(framework.DeliverAll, "line", "lines")
	return srv, nil
}

func main() {
	tcp := flag.String("tcp", "127.0.0.1:7777", "listen `address` of TCP")
	flag.Parse()
	if flag.NArg() > 0 { // what follows it would not be read
		log.Fatalf("%q is no flag", flag.Arg(0))
	}
	srv, err := newServer(framework.Config{TCP: *tcp, Authenticate: byName})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	log.Printf("serving tcp://%s", *tcp)
	if err := srv.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// byName takes the ticket for the user's name, which is good for trying out alone: see
// examples/with/jwt.
func byName(_ context.Context, l framework.Login) (framework.Identity, error) {
	return framework.Identity{User: string(l.Ticket)}, nil
}
