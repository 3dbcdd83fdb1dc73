// SPDX-License-Identifier: MIT

package place

// Rooms is which rooms a server has, by their names in the directory. The zero value has
// none.
type Rooms struct {
	m      map[string]holding
	counts [Moving + 1]int // of m, by state
}

type holding struct {
	gen   uint64
	state State
}

// State is what a room is at this server.
type State uint8

const (
	Free    State = iota // not here
	Opening              // a Find is under way
	Open
	Closing // it lets no player in any more, and its entry is being removed
	Moving  // it stands still, and is being given to others
)

var stateNames = [...]string{Opening: "opening", Open: "open", Closing: "closing", Moving: "moving"}

// State returns what a room is. Asked for one that is Free this server looks for it itself
// (Find.Asked), Open seats the player, and for others it is Working.
func (h *Rooms) State(name string) State { return h.m[name].state }

// Arrive begins a Find of a room that is Free, which is Opening then. If it is not, that is
// what it returns, and nothing is changed: a room that is Open is here, and others are
// waited for.
func (h *Rooms) Arrive(name string) State {
	state := h.State(name)
	if state == Free {
		h.set(name, holding{state: Opening})
	}
	return state
}

// Opened notes that this server owns the room with gen, and that it is open.
func (h *Rooms) Opened(name string, gen uint64) { h.set(name, holding{gen, Open}) }

// Close notes that the room has ended, and returns what it was owned with. False says that
// it is not open here.
func (h *Rooms) Close(name string) (gen uint64, ok bool) { return h.leave(name, Closing) }

// Move notes that the room is being given to others, and returns what it was owned with.
// False says that it is not open here.
func (h *Rooms) Move(name string) (gen uint64, ok bool) { return h.leave(name, Moving) }

func (h *Rooms) leave(name string, to State) (gen uint64, ok bool) {
	at := h.m[name]
	if at.state != Open {
		return 0, false
	}
	h.set(name, holding{at.gen, to})
	return at.gen, true
}

// Forget notes that the room is not here any more, or has not come.
func (h *Rooms) Forget(name string) { h.set(name, holding{}) }

// Gen returns the generation of a room that is open, 0 if it is not.
func (h *Rooms) Gen(name string) uint64 {
	if at := h.m[name]; at.state == Open {
		return at.gen
	}
	return 0
}

// Len returns how many rooms there are, in any state.
func (h *Rooms) Len() int { return len(h.m) }

// Counts returns how many rooms there are in each state.
func (h *Rooms) Counts() map[string]int {
	m := map[string]int{}
	for state := Opening; state <= Moving; state++ {
		m[stateNames[state]] = h.counts[state]
	}
	return m
}

func (h *Rooms) set(name string, to holding) {
	if h.m == nil {
		h.m = map[string]holding{}
	}
	h.counts[h.m[name].state]--
	h.counts[to.state]++
	if to.state == Free {
		delete(h.m, name)
		return
	}
	h.m[name] = to
}
