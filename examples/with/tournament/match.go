// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/framework"
)

// Players are the users of a match: x and o.
type Players [2]string

// Params are what a match is opened with.
type Params struct {
	Players  Players
	Friendly bool // for no rating
}

// Board is all there is to know of a match but for where its players stand.
type Board struct {
	Cells   string // nine of '.', 'x' and 'o', row by row
	Players Players
	Turn    string // the user whose turn it is, empty before and after
	Winner  string // empty: a draw, or not over
	Over    bool
}

// Point is a place in the arena, or a speed in units a second.
type Point struct{ X, Y float32 }

const cellSide, side, speed = 100, 3 * cellSide, 150 // of a cell, of the arena, of a player

const step, turnTime = 50 * time.Millisecond, 5 * time.Minute

// Match is tic-tac-toe in an arena: a player walks to a cell and claims it. Where the
// players are is told 20 times a second, and the newest counts. Claims and boards are
// never lost.
type Match struct {
	*framework.Room
	game     *game
	friendly bool
	board    Board
	at       [2]Point
	steer    [2]Point
	late     *framework.Timer
}

// OnJoin begins the match when both are there.
func (m *Match) OnJoin(p *framework.Player) error {
	m.at[m.mark(p)] = Point{side / 2, side / 2}
	if m.Len() == 2 {
		m.turn(0)
	}
	return nil
}

// OnSnapshot tells an app that was started anew, or a player who was away for too long.
func (m *Match) OnSnapshot(p *framework.Player) { _ = p.Push("board", m.board) }

// OnLeave gives the match to the player who stays.
func (m *Match) OnLeave(p *framework.Player, why framework.Reason) {
	if !m.board.Over && why.Code != framework.CodeShuttingDown {
		m.finish(m.board.Players[1-m.mark(p)])
	}
}

// OnEnd writes the result. It is the last of all that runs here, and may block.
func (m *Match) OnEnd(framework.Reason) {
	if !m.board.Over { // the server has shut down
		return
	}
	if err := m.game.store.result(context.Background(), m.Key(), m.board, !m.friendly); err != nil {
		slog.Error("the result is not stored", "match", m.Key(), "board", m.board, "error", err)
	}
	m.game.lobbies.Post(lobbyKey, func(l *Lobby) { _ = l.Broadcast("result", m.board) })
}

// mark returns 0 for x and 1 for o.
func (m *Match) mark(p *framework.Player) int {
	return slices.Index(m.board.Players[:], p.User())
}

// Steer says where a player wants to go, until it says something else.
func (m *Match) Steer(p *framework.Player, to Point) {
	if to.X == to.X && to.Y == to.Y { // NaN is no way
		m.steer[m.mark(p)] = Point{clamp(to.X, -speed, speed), clamp(to.Y, -speed, speed)}
	}
}

// OnTick moves both, and tells both.
func (m *Match) OnTick(t framework.Tick) {
	dt := float32(t.Step.Seconds())
	for i, s := range m.steer {
		m.at[i] = Point{clamp(m.at[i].X+s.X*dt, 0, side-1), clamp(m.at[i].Y+s.Y*dt, 0, side-1)}
	}
	_ = m.Broadcast("places", m.at)
}

func clamp(v, low, high float32) float32 { return min(max(v, low), high) }

// Claim takes the cell on which the player stands, and returns it.
func (m *Match) Claim(p *framework.Player, _ struct{}) (int, error) {
	i := m.mark(p)
	cell := int(m.at[i].Y)/cellSide*3 + int(m.at[i].X)/cellSide
	switch {
	case m.board.Turn != p.User():
		return 0, framework.Fail(codeNotYourTurn, "it is not your turn")
	case m.board.Cells[cell] != '.':
		return 0, framework.Fail(codeTaken, "the cell is taken")
	}
	mark := "xo"[i : i+1]
	m.board.Cells = m.board.Cells[:cell] + mark + m.board.Cells[cell+1:]
	switch {
	case won(m.board.Cells, mark[0]):
		m.finish(p.User())
	case !strings.Contains(m.board.Cells, "."):
		m.finish("")
	default:
		m.turn(1 - i)
	}
	return cell, nil
}

// turn lets x, 0, or o, 1, move, who loses if that takes too long.
func (m *Match) turn(i int) {
	if m.late != nil {
		m.late.Stop()
	}
	m.late = m.After(turnTime, func() { m.finish(m.board.Players[1-i]) })
	m.board.Turn = m.board.Players[i]
	_ = m.Broadcast("board", m.board)
}

// finish tells how it ended and lets the players go. OnEnd follows.
func (m *Match) finish(winner string) {
	m.board.Turn, m.board.Winner, m.board.Over = "", winner, true
	_ = m.Broadcast("board", m.board)
	m.Close(framework.RoomFinished, "")
}

func won(cells string, mark byte) bool {
	for _, l := range [...][3]int{{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {0, 3, 6}, {1, 4, 7}, {2, 5, 8}, {0, 4, 8}, {2, 4, 6}} {
		if cells[l[0]] == mark && cells[l[1]] == mark && cells[l[2]] == mark {
			return true
		}
	}
	return false
}
