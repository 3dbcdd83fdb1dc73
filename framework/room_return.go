// SPDX-License-Identifier: MIT

package framework

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/seats"
	"github.com/lifeline-go/lifeline/session"
)

// This file lets a room go on that another server has handed over: OnRestore comes before
// anything else, and the members come back as those that they were. room_move.go is the
// other half.

// absentee is a member that has not come yet. Its seat is taken. Guarded by kind.mu.
type absentee struct {
	user   string
	coming bool // it is here, and on its way to OnReturn
	fresh  bool // the state is lost: it comes as a new member
}

// parseRoomState reads what came along with a room, nil for nothing.
func (k *roomKind) parseRoomState(key string, b []byte) *roomState {
	if b == nil {
		return nil
	}
	st := new(roomState)
	err := codec.DecodeBody(b, st)
	switch {
	case err == nil && k.saves:
		return st
	case err == nil:
		err = errors.New("its type has not OnSave and OnRestore here")
	}
	k.stateLost.Add(1)
	k.srv.log.Error("the state of a room is not understood: it begins anew", "room", k.name+"/"+key, "error", err)
	return nil
}

// expectLocked keeps the seats of the members that come along. The caller holds kind.mu.
func (r *Room) expectLocked(st *roomState) {
	r.absent = make(map[session.ID]*absentee, len(st.Members))
	for _, m := range st.Members {
		var id session.ID
		if copy(id[:], m.Session) == len(id) && r.sitLocked(1) == seats.Granted {
			r.absent[id] = &absentee{user: m.User}
		}
	}
	if len(st.Reserved) > 0 && r.sitLocked(len(st.Reserved)) == seats.Granted {
		r.keepLocked(st.Reserved)
	}
	if st.Matched {
		r.seats.Match()
	}
	r.seats.SetOpen(!st.Shut)
	for _, v := range st.Published {
		r.published = append(r.published, [2]string{v.Name, v.Value})
	}
	if len(r.absent) == 0 {
		return
	}
	grace := cmp.Or(r.kind.grace, r.kind.srv.cfg.Session.Grace)
	r.returnTime = time.AfterFunc(max(grace, arrivalLinger), func() {
		r.post(func() { r.forgetAbsent(false, Reason{Code: session.Expired, Text: "it has not come along"}) }, unbounded)
	})
}

// absentLocked returns how many seats are taken for members that have not come. The caller
// holds kind.mu.
func (r *Room) absentLocked() (n int) {
	for _, a := range r.absent {
		if !a.coming {
			n++
		}
	}
	return n
}

// comesBackLocked gives a player the seat that it had, and reports false if it had none. A user
// that has logged in anew has the seat of the session before. The caller holds kind.mu.
func (r *Room) comesBackLocked(w joinWish) bool {
	id, a := r.absenteeLocked(w.id, w.user)
	if a == nil || a.coming {
		return false
	}
	a.coming = true
	if id != w.id {
		r.absent[w.id] = &absentee{coming: true, fresh: true}
		delete(r.absent, id)
		r.post(func() { r.missed(a, Reason{Code: session.TakenOver}) }, unbounded)
	}
	return true
}

func (r *Room) absenteeLocked(id session.ID, user string) (session.ID, *absentee) {
	if a := r.absent[id]; a != nil || user == "" || r.kind.srv.cfg.Duplicate == DuplicateAllow {
		return id, a
	}
	for other, a := range r.absent {
		if a.user == user {
			return other, a
		}
	}
	return id, nil
}

// returned takes the player out of those that are absent, and reports whether it is a member
// that has come along.
func (r *Room) returned(p *Player) bool {
	id := p.ID()
	r.kind.mu.Lock()
	defer r.kind.mu.Unlock()
	a := r.absent[id]
	if a == nil || !a.coming {
		return false
	}
	delete(r.absent, id)
	return !a.fresh
}

// missed tells the game of a member that does not come.
func (r *Room) missed(a *absentee, why Reason) {
	if v, ok := r.value.(MissingHandler); ok && !a.fresh {
		r.guard(&callMissing, func() { v.OnMissing(a.user, why) })
	}
}

// forgetAbsent gives back the seats of members that have not come, and tells the game, but
// if they go along to another server.
func (r *Room) forgetAbsent(along bool, why Reason) {
	r.kind.mu.Lock()
	var gone []*absentee
	for _, id := range slices.SortedFunc(maps.Keys(r.absent), byID) {
		if a := r.absent[id]; !a.coming {
			delete(r.absent, id)
			gone = append(gone, a)
		}
	}
	r.kind.mu.Unlock()
	r.giveUp(gone, along, why)
}

// giveUp ends the seats of members that have not come, also if OnMissing ends this goroutine.
func (r *Room) giveUp(gone []*absentee, along bool, why Reason) {
	if len(gone) == 0 {
		return
	}
	defer r.giveUp(gone[1:], along, why)
	defer r.releaseSeat(false, why)
	if !along {
		r.missed(gone[0], why)
	}
}

// restore gives the room its state, in the place of OnCreate. If that can't be done the room
// is made anew.
func (r *Room) restore() (ok bool) {
	k, st := r.kind, r.born.state
	err := error(refusal(codec.ErrorInternal, "OnRestore has not returned"))
	returned := make(chan struct{})
	go func() { // which OnRestore may end: the room is made anew then
		defer close(returned)
		r.guard(&callRestore, func() { err = r.value.(RestoreHandler).OnRestore(st.State) })
	}()
	<-returned
	k.srv.rooms.RoomRuns(k.name, r.Key())
	if err == nil {
		r.last = st.Tick
		k.restored.Add(1)
		return true
	}
	k.stateLost.Add(1)
	k.srv.log.Error("a room was not restored: it begins anew", "room", r.name(), "error", err)
	k.mu.Lock()
	for _, a := range r.absent {
		a.fresh = true
	}
	k.mu.Unlock()
	r.timers.stop()
	r.timers = timers{wake: r.wake}
	return false
}
