// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/server"
)

// Rooms of other servers: what it takes a player to get into one.

func (o *options) clusterMoveFlags(fs *flag.FlagSet) {
	o.outageFlags(fs)
	fs.Lookup("sessions").DefValue, o.Sessions = "300", 300
	fs.Float64Var(&o.moves, "moves", 30, "joins a second of rooms of other servers, of all players together")
	fs.DurationVar(&o.moving, "moving", 10*time.Second, "how long players go from room to room")
}

// moved is the report of cluster move.
type moved struct {
	outage
	Joins   uint64  `json:"joins"` // of rooms of another server
	Join50  float64 `json:"join_p50_ms"`
	Join99  float64 `json:"join_p99_ms"`
	JoinTo  float64 `json:"join_max_ms"`
	Here50  float64 `json:"join_here_p50_ms"` // of a room of the player's own server, by all at once
	Busy    int     `json:"busy"`             // joins that were put off
	Refused int     `json:"refused"`
}

// clusterMove has players go from one server's room to the next one's, under traffic.
func clusterMove(o *options) error {
	const servers = 3
	if o.moves <= 0 || o.moving <= 0 || o.Sessions < 2*servers {
		return fmt.Errorf("-moves and -moving must be above 0, and -sessions %d or more", 2*servers)
	}
	o.Options.Halls = true
	var r moved
	var here, there load.Visits
	out, err := o.play("move", servers, atAll, func(g *group) (err error) {
		if here, err = g.settleDown(servers); err == nil {
			there, err = g.wander(servers)
		}
		return err
	})
	if err != nil {
		return err
	}
	r.outage = *out
	r.Joins, r.Busy, r.Refused = there.In.Count(), there.Busy, there.Refused
	r.Join50, r.Join99, r.JoinTo = extent(&there.In)
	r.Here50, _, _ = extent(&here.In)
	return o.printLines(&r)
}

// settleDown has all players enter the room of their server. The first of them there makes it,
// and stays.
func (g *group) settleDown(servers int) (load.Visits, error) {
	f := g.fleet
	for first := true; ; first = false {
		for i := range g.o.Sessions {
			if (i < servers) == first && !f.Visit(i, server.HallType, strconv.Itoa(i%servers)) {
				return load.Visits{}, fmt.Errorf("player %d can't enter a room", i)
			}
		}
		v, err := g.arrive()
		if err == nil && v.Busy+v.Refused > 0 {
			err = fmt.Errorf("%d players were put off at their own server, %d refused", v.Busy, v.Refused)
		}
		if err != nil || !first {
			return v, err
		}
	}
}

// wander has all but the first players go from room to room.
func (g *group) wander(servers int) (load.Visits, error) {
	const step = 5 * time.Millisecond
	n, began, done, next := g.o.Sessions, time.Now(), 0, servers
	at := make([]int, n) // of each player's room
	for i := range at {
		at[i] = i % servers
	}
	for since := time.Duration(0); since < g.o.moving; since = time.Since(began) {
		due := int(since.Seconds() * g.o.moves)
		for tries := n; done < due && tries > 0; tries-- {
			i := next
			if next++; next == n {
				next = servers
			}
			room := (at[i] + 1) % servers
			if g.fleet.Visit(i, server.HallType, strconv.Itoa(room)) {
				at[i] = room
				done++
			}
		}
		g.fleet.Play(step)
	}
	return g.arrive()
}

// arrive waits until every player is in its room.
func (g *group) arrive() (load.Visits, error) {
	for end := time.Now().Add(g.o.duration); g.fleet.Entering() > 0; {
		if time.Now().After(end) {
			return load.Visits{}, errors.New("players wait for a room, and have no answer")
		}
		g.fleet.Play(5 * time.Millisecond)
	}
	return g.fleet.TakeVisits(), nil
}
