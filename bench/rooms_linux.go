// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/lifeline-go/lifeline/bench/server"
)

// Rooms whose servers are restarted: what becomes of their state and of their members.

func (o *options) clusterRoomsFlags(fs *flag.FlagSet) {
	o.clusterRestartFlags(fs)
	fs.Lookup("sessions").DefValue, o.Sessions = "5000", 5000
	fs.Lookup("each").DefValue, o.each = "1", 1
	fs.IntVar(&o.rooms, "rooms", 500, "rooms that the players are in, as many in each")
	fs.Float64Var(&o.Options.Beats, "beats", 2, "ticks a second of each room: it counts, and tells its members")
}

// roomed is the report of cluster rooms.
type roomed struct {
	outage
	Rooms   int     `json:"rooms"`
	Beats   float64 `json:"beats_per_second_and_room"`
	Told    uint64  `json:"beats_told"`      // to members
	Moved   uint64  `json:"rooms_moved"`     // times that one was made at another server
	Anew    uint64  `json:"rooms_anew"`      // of these, without its state
	Differs uint64  `json:"rooms_differ"`    // rooms that went on with another state than they had
	SetBack int     `json:"members_setback"` // members whose room has counted something again
	Astray  int     `json:"members_astray"`  // members that were in another room
	Outside int     `json:"members_outside"` // members that were in no room at the end
}

// clusterRooms restarts each of three servers that have rooms.
func clusterRooms(o *options) error {
	const servers = 3
	if o.rooms < 1 || o.rooms > o.Sessions || o.Options.Beats <= 0 {
		return errors.New("-rooms must be from 1 to -sessions, and -beats above 0")
	}
	o.Halls = true
	r := roomed{Rooms: o.rooms, Beats: o.Options.Beats}
	out, err := o.play("rooms", servers, atAll, func(g *group) error {
		if err := g.populate(); err != nil {
			return err
		}
		before := g.halls.Account()
		g.fleet.Play(o.settle)
		g.fleet.Listen()
		if err := g.restartAll(); err != nil {
			return err
		}
		a, m := g.halls.Account(), g.fleet.Members()
		r.Moved, r.Anew, r.Differs = a.Made-before.Made, a.Anew, a.Differs
		r.Told, r.SetBack, r.Astray, r.Outside = m.Beats, m.SetBack, m.Astray, m.Outside
		return nil
	})
	if err != nil {
		return err
	}
	r.outage = *out
	return o.printLines(&r)
}

// openHalls makes the file in which all servers note what becomes of rooms.
func (g *group) openHalls() (err error) {
	if g.o.rooms > 0 {
		g.halls, err = server.NewHalls(filepath.Join(g.folder, "halls"), g.o.rooms)
	}
	return err
}

// populate has all players enter their rooms, a bounded number at a time.
func (g *group) populate() error {
	f := g.fleet
	for next, end := 0, time.Now().Add(g.o.duration); ; f.Play(2 * time.Millisecond) {
		for next < g.o.Sessions && f.Entering() < g.o.Opening {
			if !f.Visit(next, server.HallType, strconv.Itoa(next%g.o.rooms)) {
				return fmt.Errorf("player %d can't enter a room", next)
			}
			next++
		}
		if next == g.o.Sessions && f.Entering() == 0 {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("of %d players %d have not asked for a room, and %d have no answer", g.o.Sessions, g.o.Sessions-next, f.Entering())
		}
	}
	if v := f.TakeVisits(); v.Busy+v.Refused > 0 {
		return fmt.Errorf("%d players were put off, %d refused", v.Busy, v.Refused)
	}
	return nil
}
