// SPDX-License-Identifier: MIT

package framework

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
	"github.com/lifeline-go/lifeline/session"
)

// This file is the way into a room that is not open here, of a server that is one of
// many. The Cluster finds the room. If that is here by then, the wish goes on as any. If
// it is elsewhere, the session moves there, the wish goes along, and the answer to the
// client comes from there.

// search is a wish for a room that is not found yet. Guarded by the player's mu.
type search struct {
	wish     joinWish           // immutable once it has a key
	requests []mailbox.Question // of the client, that wait for an answer
	tries    int
	moving   bool // the room is elsewhere, and the session goes there
}

const (
	// maxTries bounds how often a room is sought that is gone again when it was found.
	maxTries = 4
	// maxHops bounds how often a session moves for one wish.
	maxHops = 4
)

// seekLocked makes the seat of a wish whose room is not open here. The caller holds p.mu,
// and calls seek once it has released it.
func (k *roomKind) seekLocked(p *Player, w joinWish, from *seat, done func(string, error)) (*seat, error) {
	if w.came != nil && w.came.Hops >= maxHops {
		return nil, refusal(codec.ErrorBusy, fmt.Sprintf("room %s/%s was not where it was said to be, %d times", k.name, w.key, maxHops))
	}
	if w.asked && !p.affords(priceOfRoom) { // one may be made
		k.srv.count.rateLimited.Add(1)
		return nil, refusal(codec.ErrorBusy, "too many rooms were made")
	}
	s := &seat{kind: k, watching: w.watch, came: w.came, from: from, done: done, sought: &search{wish: w}}
	s.askedBy(w)
	if w.came != nil {
		s.sought.requests = w.came.questions()
	}
	p.seats.add(s)
	return s, nil
}

// askedBy notes the client's request for a room that is sought, if there is one.
func (s *seat) askedBy(w joinWish) {
	if s.sought != nil && w.asked {
		s.sought.requests = append(s.sought.requests, w.request)
	}
}

// seek lets the cluster find the room of a seat.
func (k *roomKind) seek(p *Player, s *seat) {
	w := &s.sought.wish
	if w.key == "" {
		k.withOthers(func() { go k.seekAny(p, s) }) // ends within anyTime
		return
	}
	q := RoomQuery{Type: k.name, Key: w.key, Session: p.ID(), User: p.user, Watch: w.watch}
	k.srv.rooms.FindRoom(q, func(at RoomPlace, err error) { k.found(p, s, at, err) })
}

// found takes the cluster's answer.
func (k *roomKind) found(p *Player, s *seat, at RoomPlace, err error) {
	p.mu.Lock()
	if !p.seats.has(s) || p.life.Ending() { // it ends or goes along with the session
		p.mu.Unlock()
		return
	}
	again := false
	switch {
	case err != nil:
	case at.Address != "" && p.extra != nil && p.extra.kick != nil: // it goes with a room: the wish goes along
		p.mu.Unlock()
		return
	case at.Address != "":
		s.sought.moving = true
		p.mu.Unlock()
		p.dismiss(Reason{Code: session.Moved, Text: at.Address})
		return
	default:
		var r *Room
		if r, err = k.reserveSeat(s.sought.wish, s.leaves(), nil); err == nil {
			s.room, s.sought = r, nil
		} else if err == errSought {
			s.sought.tries++
			again = s.sought.tries < maxTries
			err = refusal(codec.ErrorBusy, "the room ends again and again")
		}
	}
	if err != nil && !again {
		p.seats.remove(s)
	}
	key, done := s.key(), s.done
	p.mu.Unlock()
	switch {
	case again:
		k.seek(p, s)
		return
	case err != nil:
		done(key, k.deny(k.srv.notFound(err, k.name+"/"+key)))
	}
	p.schedule()
}

// notFound makes what the client is told of a search that has failed.
func (s *Server) notFound(err error, room string) error {
	var e *codec.Error
	if errors.As(err, &e) {
		return e
	}
	if n, ok := s.failedSearches.Allow(clock()); ok {
		s.log.Warn("a room was not found in time", "room", room, "times", n, "error", err)
	}
	return refusal(codec.ErrorBusy, "the room was not found in time")
}

// takeSought takes the wishes for rooms that are sought out of the list. The caller holds
// mu, and ends each.
func (l *seatList) takeSought() (all []*seat) {
	for s := range l.all() {
		if s.sought != nil {
			all = append(all, s)
		}
	}
	for _, s := range all {
		l.remove(s)
	}
	return all
}

// moves reports whether the session moves for the sake of a wish.
func (l seatList) moves() bool {
	return l.find(func(s *seat) bool { return s.sought != nil && s.sought.moving }) != nil
}

// sought reports whether a room is sought, for which messages wait.
func (l seatList) sought() bool { return l.find(func(s *seat) bool { return s.sought != nil }) != nil }

// endSought ends the wishes whose rooms are sought: why they come to nothing here.
func (p *Player) endSought(why error) (ended []*seat) {
	if p.srv.rooms == nil {
		return nil
	}
	p.mu.Lock()
	ended = p.seats.takeSought()
	p.mu.Unlock()
	for _, s := range ended {
		s.done(s.key(), why)
	}
	return ended
}

// joining is a wish that goes to another server with the session.
type joining struct {
	Type, Key string
	Watch     bool
	Hops      uint8
	Requests  []uint64 // of the client, that wait for an answer
	Member    bool     // its client takes itself for one still; guarded by the player's mu
}

// questions are the requests as those of the app that the session has come with: it was
// not started anew since.
func (j *joining) questions() (list []mailbox.Question) {
	for _, id := range j.Requests {
		list = append(list, mailbox.Question{ID: id})
	}
	return list
}

// packJoins makes what goes along of the wishes whose rooms are sought.
func (p *Player) packJoins() (list []joining) {
	ended := p.endSought(ErrMoved)
	p.mu.Lock()
	defer p.mu.Unlock()
	run := p.extra.appRun()
	if x := p.extra; x != nil {
		list = x.rejoin
		for _, j := range x.putOff {
			list = append(list, joining{Type: j.Type, Key: j.Key, Watch: j.Watch, Hops: j.Hops + 1, Member: j.Member})
		}
		x.putOff = nil
	}
	for _, s := range ended {
		w := &s.sought.wish
		j := joining{Type: s.kind.name, Key: w.key, Watch: w.watch, Hops: 1}
		if w.came != nil {
			j.Hops += w.came.Hops
			j.Member = w.came.Member
		}
		for _, q := range s.sought.requests {
			if q.Run == run { // else the app that asked is no more
				j.Requests = append(j.Requests, q.ID)
			}
		}
		list = append(list, j)
	}
	return list
}

const (
	// rejoinAfter is how long a wish that no request waits for is put off if the answer is
	// BUSY, and maxRejoins how often.
	rejoinAfter = time.Second
	maxRejoins  = 30
)

// joinAgain goes on with the wishes that have come with the session.
func (p *Player) joinAgain(list []joining) {
	for i := range list {
		p.rejoin(&list[i], 0)
	}
}

// takesUp reports whether a wish that was put off is to be tried here again: the session has
// not gone to another server with it.
func (p *Player) takesUp(j *joining) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.extra.putOff, j)
	if i >= 0 {
		p.extra.putOff = slices.Delete(p.extra.putOff, i, i+1)
	}
	return i >= 0
}

// dropPutOff forgets the wishes for rooms of a type: the player is in one by now.
func (x *extra) dropPutOff(kind string) {
	if x != nil {
		x.putOff = slices.DeleteFunc(x.putOff, func(j *joining) bool { return j.Type == kind })
	}
}

// rejoin goes on with one of them, which was put off so many times.
func (p *Player) rejoin(j *joining, times int) {
	done := func(key string, err error) {
		var no *codec.Error
		if err != nil && !errors.As(err, &no) {
			no = &codec.Error{}
		}
		switch {
		case err == ErrMoved:
			return
		case len(j.Requests) > 0 || err == nil:
		case no.Code == codec.ErrorBusy && times < maxRejoins:
			p.mu.Lock()
			p.extraLocked().putOff = append(p.extra.putOff, j)
			p.mu.Unlock()
			time.AfterFunc(rejoinAfter, func() {
				if p.takesUp(j) {
					p.rejoin(j, times+1)
					p.schedule()
				}
			})
			return
		default:
			p.srv.log.Info("not let in", "session", p.ID(), "user", p.label(), "room", j.Type+"/"+key, "error", err)
		}
		if no != nil {
			p.tellOut(j, no.Text)
		}
		for _, q := range j.questions() {
			p.answer(q, key, err)
		}
	}
	k, err := p.srv.roomType(j.Type)
	if err == nil {
		w := joinWish{key: j.Key, watch: j.Watch, came: j}
		if !j.Watch && k.clustered() && k.srv.rooms.TakeSeat(k.name, j.Key, p.ID()) {
			w.kept = new(bool)
			*w.kept = true
		}
		err = k.planJoin(p, w, done)
		k.giveBackKept(w)
	}
	if err != nil {
		done(j.Key, err)
	}
}

// giveBackKept frees the seat that was kept for a wish that has not taken it: the player is on its
// way into another room, or has another seat in this one.
func (k *roomKind) giveBackKept(w joinWish) {
	if w.kept == nil {
		return
	}
	k.mu.Lock()
	left := *w.kept
	*w.kept = false
	k.mu.Unlock()
	if left {
		clusterHost{s: k.srv}.Unsit(k.name, w.key)
	}
}
