// SPDX-License-Identifier: MIT

package core

import "github.com/lifeline-go/lifeline/session"

// Holdings is which sessions a server owns, and which it is about to own or to give up.
// The zero value holds nothing.
type Holdings struct {
	m      map[session.ID]holding
	counts [parking + 1]int // of m, by state
}

type holding struct {
	gen   uint64
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

// Hold notes that the server owns the session now.
func (h *Holdings) Hold(id session.ID, gen uint64) { h.set(id, holding{gen, held}) }

// End notes that the session has ended and its entry is being removed. False says that
// it is not held.
func (h *Holdings) End(id session.ID) bool {
	_, ok := h.leave(id, ending)
	return ok
}

// Park notes that the session is being given to others, and returns the generation it
// was owned with. False says that it is not held.
func (h *Holdings) Park(id session.ID) (gen uint64, ok bool) { return h.leave(id, parking) }

func (h *Holdings) leave(id session.ID, to holdState) (gen uint64, ok bool) {
	at := h.m[id]
	if at.state != held {
		return 0, false
	}
	h.set(id, holding{at.gen, to})
	return at.gen, true
}

// Parking reports that the session is being given to others.
func (h *Holdings) Parking(id session.ID) bool { return h.m[id].state == parking }

// Forget notes that the session is not here any more, or has not come.
func (h *Holdings) Forget(id session.ID) {
	h.counts[h.m[id].state]--
	delete(h.m, id)
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
