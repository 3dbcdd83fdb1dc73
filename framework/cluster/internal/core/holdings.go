// SPDX-License-Identifier: MIT

package core

import (
	"slices"

	"github.com/lifeline-go/lifeline/session"
)

// Holdings is which sessions a server owns, and which it is about to own or to give up.
// The zero value holds nothing.
type Holdings struct {
	m      map[session.ID]holding
	counts [parking + 1]int            // of m, by state
	adopts map[session.ID][]session.ID // by login: the sessions that its claim may have taken over
}

type holding struct {
	gen   uint64 // 0: this server may never own it
	state holdState
}

type holdState uint8

const (
	arriving holdState = iota + 1 // a claim or a find is under way
	held
	ending  // a release is
	parking // a park is
)

var holdNames = [...]string{arriving: "arriving", held: "held", ending: "ending", parking: "parking"}

// Counts returns how many sessions there are in each state.
func (h *Holdings) Counts() map[string]int {
	m := map[string]int{}
	for state := arriving; state <= parking; state++ {
		m[holdNames[state]] = h.counts[state]
	}
	return m
}

// set puts a session into a state.
func (h *Holdings) set(id session.ID, to holding) {
	if h.m == nil {
		h.m = map[session.ID]holding{}
	}
	h.counts[h.m[id].state]-- // of one that was not there: the count of no state, which is not told
	h.counts[to.state]++
	h.m[id] = to
}

// Effect is what a server does about a Question.
type Effect uint8

const (
	NoEffect Effect = iota // it is being seen to
	EndIt                  // ends the session by the policy of the question, or says that it is present
	ParkIt                 // parks it
	GiveBack               // runs NewUnpark: it owns what it never had
	SayHere                // answers that the session is here
)

// Arrive notes that an operation has begun that may make this server the owner. False
// says that there is one for that session already, or that it is here.
func (h *Holdings) Arrive(id session.ID) bool {
	if _, ok := h.m[id]; ok {
		return false
	}
	h.set(id, holding{state: arriving})
	return true
}

// adopt notes that the claim of a login may take a session over, which arrives until the login
// is open. False says that something else is under way with that session.
func (h *Holdings) adopt(login session.ID, e Entry) bool {
	if h.adopting(login, e.Session) {
		return true
	}
	if !h.Arrive(e.Session) {
		return false
	}
	h.set(e.Session, holding{e.Gen + 1, arriving})
	if h.adopts == nil {
		h.adopts = map[session.ID][]session.ID{}
	}
	h.adopts[login] = append(h.adopts[login], e.Session)
	return true
}

// adopting reports that the claim of a login may have taken a session over that has not ended.
func (h *Holdings) adopting(login, id session.ID) bool {
	return h.is(id, arriving) && slices.Contains(h.adopts[login], id)
}

// Grant notes that a login was granted. It arrives until it is open, or ends.
func (h *Holdings) Grant(login session.ID, gen uint64) { h.set(login, holding{gen, arriving}) }

// Open notes that a login that was granted is open here. It goes on with what it has adopted,
// whose own entries are to be removed now.
func (h *Holdings) Open(login session.ID) (adopted []session.ID) {
	if !h.is(login, arriving) {
		return nil
	}
	for _, id := range h.adopts[login] {
		if h.End(id) {
			adopted = append(adopted, id)
		}
	}
	delete(h.adopts, login)
	h.Hold(login, h.m[login].gen)
	return adopted
}

// Hold notes that the server owns the session now.
func (h *Holdings) Hold(id session.ID, gen uint64) { h.set(id, holding{gen, held}) }

// End notes that the session has ended and its entry is being removed. False says that it
// is neither held, nor of a login that is not open yet.
func (h *Holdings) End(id session.ID) bool {
	at := h.m[id]
	if at.state != held && (at.state != arriving || at.gen == 0) {
		return false
	}
	h.set(id, holding{at.gen, ending})
	return true
}

// Park notes that the session is being given to others, and returns the generation it
// was owned with. False says that it is not held.
func (h *Holdings) Park(id session.ID) (gen uint64, ok bool) {
	at := h.m[id]
	if at.state != held {
		return 0, false
	}
	h.set(id, holding{at.gen, parking})
	return at.gen, true
}

// Parking reports that the session is being given to others.
func (h *Holdings) Parking(id session.ID) bool { return h.is(id, parking) }

// is reports that the session is in a state.
func (h *Holdings) is(id session.ID, s holdState) bool { return h.m[id].state == s }

// comes reports that something else than the claim of a login brings the session here.
func (h *Holdings) comes(id, login session.ID) bool {
	return h.is(id, arriving) && !h.adopting(login, id)
}

// left reports that a server that owns e has not got it: an operation that was given up has
// taken it. What the claim of a login may have taken counts as that.
func (h *Holdings) left(e Entry, login session.ID) bool {
	_, ok := h.m[e.Session]
	return e.Record != nil && (!ok || h.adopting(login, e.Session))
}

// Forget notes that the session is not here any more, or has not come, nor what it would have
// adopted.
func (h *Holdings) Forget(id session.ID) {
	h.counts[h.m[id].state]--
	delete(h.m, id)
	for _, adopted := range h.adopts[id] {
		if h.is(adopted, arriving) {
			h.Forget(adopted)
		}
	}
	delete(h.adopts, id)
}

// Gen returns the generation that a session is held with, 0 if it is not.
func (h *Holdings) Gen(id session.ID) uint64 {
	if at := h.m[id]; at.state == held {
		return at.gen
	}
	return 0
}

// Len returns how many sessions there are, in any state.
func (h *Holdings) Len() int { return len(h.m) }

// Ask returns what is to be done about a question.
func (h *Holdings) Ask(q Question) Effect {
	switch at, ok := h.m[q.Session]; {
	case !ok:
		return GiveBack
	case at.state != held:
		return NoEffect
	case q.Look:
		return SayHere
	case q.Evict && q.Policy != Adopt:
		return EndIt
	}
	return ParkIt
}
