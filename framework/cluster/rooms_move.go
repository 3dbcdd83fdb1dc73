// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/place"
)

// Rooms that go from server to server with their state: section 14.6 of SPEC.md.

var (
	errRoomNotHere = errors.New("cluster: the room is not open at this server")
	errRoomFenced  = errors.New("cluster: another server has the room")
	errNoServer    = errors.New("cluster: no other server takes rooms")
)

// HandOverRoom implements framework.ClusterRooms.
func (c *Cluster) HandOverRoom(ctx context.Context, h framework.RoomHandOver, done func(error)) {
	kind, key := h.Type, h.Key
	r, name := &c.rooms, place.Name(kind, key)
	at, _ := maker(key)
	r.mu.Lock()
	if at == c.me && r.here.State(name) == place.Opening && ctx.Err() == nil {
		// Its key was guessed, and is sought since before the room was made.
		if r.leaving == nil {
			r.leaving = map[string]bool{}
		}
		r.leaving[name] = true
		r.mu.Unlock()
		c.jobs.Add(func() {
			pause(ctx, roomAgain)
			c.HandOverRoom(ctx, h, done)
		})
		return
	}
	delete(r.leaving, name)
	first := at == c.me && r.here.State(name) == place.Free
	if first {
		r.here.Opened(name, h.Generation)
	}
	gen, ok := r.here.Move(name)
	r.dropSeatsLocked(name)
	r.mu.Unlock()
	if !ok {
		done(errRoomNotHere)
		return
	}
	c.jobs.Add(func() {
		target, err := c.roomTarget(h.To)
		if err == nil {
			err = c.handOver(ctx, place.HandOver{Me: c.me, Type: kind, Key: key, Gen: gen, Target: target, Snapshot: h.State, First: first})
		}
		r.mu.Lock()
		if err == nil {
			r.here.Forget(name)
		} else {
			r.here.Opened(name, gen) // CloseRoom follows
		}
		r.mu.Unlock()
		switch {
		case err == nil:
			c.openElsewhere(ctx, kind, key)
		case first: // the write may be on its way
			c.CloseRoom(kind, key)
		}
		done(err)
	})
}

// roomTarget is where a room shall be whose members are sent to an address. If there is no
// other server any more that takes it, it is zero: any may take it, this one too. The error is
// errNoServer if this one drains.
func (c *Cluster) roomTarget(address string) (core.Incarnation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	takers, _ := c.takersLocked(c.host.Routes())
	if i := slices.IndexFunc(takers, func(m core.Member) bool { return m.Address == address }); i >= 0 {
		return takers[i].Incarnation, nil
	}
	to := c.chooseLocked([]core.Incarnation{c.me})
	if to == (core.Incarnation{}) && c.draining {
		return to, errNoServer
	}
	return to, nil
}

// chooseOtherLocked is chooseLocked, and this server is the last that is chosen. The caller
// holds mu.
func (c *Cluster) chooseOtherLocked(tried []core.Incarnation) core.Incarnation {
	if to := c.chooseLocked(append(slices.Clone(tried), c.me)); to != (core.Incarnation{}) {
		return to
	}
	return c.chooseLocked(tried)
}

// handOver writes that a room is to be had, until that is sure.
func (c *Cluster) handOver(ctx context.Context, h place.HandOver) error {
	op, err := place.NewHandOver(h)
	if err != nil {
		return err
	}
	for {
		v, err := c.runRoom(ctx, op)
		switch {
		case err != nil:
			return err
		case v.Result == place.Moved:
			return nil
		case v.Result == place.Fenced:
			return errRoomFenced
		}
		if !pause(ctx, max(v.Wait, roomAgain)) {
			return ctx.Err()
		}
	}
}

// openTime bounds how long the members of a room wait until it is open at the next server.
// It is opened there without that when they come.
const openTime = 2 * time.Second

// openElsewhere asks the next server to open a room that was handed over, and opens it here if
// no other one does. Else a room whose members do not come back would stay in the directory.
func (c *Cluster) openElsewhere(ctx context.Context, kind, key string) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	open := func(ctx context.Context) error {
		v, err := c.find(ctx, place.Name(kind, key), place.Find{Me: c.me, Type: kind, Key: key, Choose: c.chooseOtherLocked})
		if err == nil && v.Result == place.Busy {
			err = errNoServer
		}
		return err
	}
	if err := open(ctx); err != nil {
		c.log.Info("a room was handed over, and is not open yet", "room", kind+"/"+key, "error", err)
		go c.untilDone(func(ctx context.Context) bool { return open(ctx) == nil }) // ends with this server
	}
}

// passOn lets any other server have a room that this one owns now, and can't make.
func (c *Cluster) passOn(name string, at roomName, v *place.Verdict) {
	r := &c.rooms
	r.mu.Lock()
	r.here.Move(name)
	r.mu.Unlock()
	c.jobs.Add(func() {
		c.untilDone(func(ctx context.Context) bool {
			err := c.handOver(ctx, place.HandOver{Me: c.me, Type: at.kind, Key: at.key, Gen: v.Gen, Snapshot: v.Snapshot})
			return err == nil || errors.Is(err, errRoomFenced)
		})
		r.mu.Lock()
		r.here.Forget(name)
		r.mu.Unlock()
	})
}

// RoomRuns implements framework.ClusterRooms.
func (c *Cluster) RoomRuns(kind, key string) {
	r, name := &c.rooms, place.Name(kind, key)
	r.mu.Lock()
	gen := r.here.Gen(name)
	r.mu.Unlock()
	if gen == 0 {
		return // it has ended, and so does its entry
	}
	c.jobs.Add(func() {
		c.untilDone(func(ctx context.Context) bool {
			v, err := c.runRoom(ctx, place.NewRuns(c.me, kind, key, gen))
			return err == nil && v.Result == place.Runs
		})
	})
}

// leaves reports whether a room goes to another server, and the directory may not say so yet.
func (c *Cluster) leaves(kind, key string) bool {
	r := &c.rooms
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.leavesLocked(kind, key) || r.here.State(place.Name(kind, key)) == place.Moving
}

// leavesLocked reports whether a room is about to go, which is not noted in here yet. The caller
// holds rooms.mu.
func (c *Cluster) leavesLocked(kind, key string) bool {
	return c.host.RoomLeaves(kind, key) || c.rooms.leaving[place.Name(kind, key)]
}
