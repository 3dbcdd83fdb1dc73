// SPDX-License-Identifier: MIT

// Command tictactoe is a server of a game in turns: two strangers are put together,
// move one after the other, may lose their links or their apps in between, and go on
// where they were.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/lifeline-go/lifeline/framework"
)

// State is all there is to know of a game. A player is sent the whole of it after each
// move: it is small, and an app that starts in the middle needs nothing else.
type State struct {
	Cells   string    // nine of '.', 'x' and 'o', row by row
	Players [2]string // x and o
	Turn    string    // the user whose turn it is, empty once it is over
	Winner  string    // empty: a draw, or not over
	Over    bool
}

// Why a move is refused.
const (
	codeNotYourTurn = framework.GameError + 1 + iota
	codeNoSuchCell
	codeTaken
)

// Match is one game.
type Match struct {
	*framework.Room
	State
}

func newMatch(r *framework.Room) *Match {
	return &Match{Room: r, State: State{Cells: strings.Repeat(".", 9)}}
}

// OnJoin begins the game when the second player is there.
func (m *Match) OnJoin(p *framework.Player) error {
	m.Players[m.Len()-1] = p.User() // a member already while OnJoin runs
	if m.Len() == 2 {
		m.SetOpen(false)
		m.Turn = m.Players[0]
		return m.Broadcast("state", m.State)
	}
	return nil
}

// OnSnapshot runs when a player comes back and something that was sent to it was
// given up, or its app was started anew.
func (m *Match) OnSnapshot(p *framework.Player) { _ = p.Push("state", m.State) }

// OnLeave ends the game in favour of the player who stays. It does not run for a
// lost link, but when the player has left, or has not come back in time.
func (m *Match) OnLeave(p *framework.Player, _ framework.Reason) {
	if m.Turn != "" {
		m.end(m.other(p.User()))
	}
}

// Move puts the player's mark into a cell, 0 to 8.
func (m *Match) Move(p *framework.Player, cell int) (struct{}, error) {
	switch {
	case m.Turn != p.User():
		return struct{}{}, framework.Fail(codeNotYourTurn, "it is not your turn")
	case cell < 0 || cell > 8:
		return struct{}{}, framework.Fail(codeNoSuchCell, "cells are 0 to 8")
	case m.Cells[cell] != '.':
		return struct{}{}, framework.Fail(codeTaken, "the cell is taken")
	}
	mark := "x"
	if p.User() == m.Players[1] {
		mark = "o"
	}
	m.Cells = m.Cells[:cell] + mark + m.Cells[cell+1:]
	switch {
	case won(m.Cells, mark[0]):
		m.end(p.User())
	case !strings.Contains(m.Cells, "."):
		m.end("")
	default:
		m.Turn = m.other(p.User())
		_ = m.Broadcast("state", m.State)
	}
	return struct{}{}, nil
}

// end tells how it ended, and lets the players go.
func (m *Match) end(winner string) {
	m.Turn, m.Winner, m.Over = "", winner, true
	_ = m.Broadcast("state", m.State)
	m.Close(framework.RoomFinished, "")
}

func (m *Match) other(user string) string {
	if user == m.Players[0] {
		return m.Players[1]
	}
	return m.Players[0]
}

// won reports whether a row, a column or a diagonal is full of a mark.
func won(cells string, mark byte) bool {
	for _, l := range [...][3]int{{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {0, 3, 6}, {1, 4, 7}, {2, 5, 8}, {0, 4, 8}, {2, 4, 6}} {
		if cells[l[0]] == mark && cells[l[1]] == mark && cells[l[2]] == mark {
			return true
		}
	}
	return false
}

func newServer(cfg framework.Config) (*framework.Server, error) {
	cfg.Strict = true // while it is developed: what comes to nothing is told
	srv, err := framework.New(cfg)
	if err != nil {
		return nil, err
	}
	// A client asks for any room, by an empty key, and gets into one where a
	// player waits.
	matches := framework.AddRoom(srv, "tictactoe", newMatch).Seats(2)
	framework.OnRoomRequest(matches, "move", (*Match).Move)
	srv.Sends(framework.DeliverAll, "state")
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
