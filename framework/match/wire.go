// SPDX-License-Identifier: MIT

package match

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/match/queue"
)

// The routes: framework/client/CLIENT.md 9.
const (
	RouteEnter  = "match.enter"  // request: Wish, answered by Status
	RouteCancel = "match.cancel" // request: nothing, answered by true
	RouteAnswer = "match.answer" // request: Answer, answered by true
	RouteTicket = "match.ticket" // push: Status
)

// Wish is what a client asks for. Its sizes are checked.
type Wish struct {
	// Queue names the queue.
	Queue string
	// Regions are where the player would play, and how far away they are: at most 16.
	Regions []Region
	// Fields are whatever the game reads in Config.Ticket, as a mode or a role: at most
	// 16. They are the client's word: ratings do not belong here.
	Fields []Field
}

// Region is a place where matches may run, and the client's round trip to it.
type Region struct {
	Name         string
	Milliseconds uint32
}

// Field is a name with a value, of at most 64 bytes each.
type Field struct{ Name, Value string }

// Field returns the value of the first field with a name, empty without one.
func (w *Wish) Field(name string) string {
	for _, f := range w.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Pools returns a pool for each region: those no farther than near at once, and a farther
// one after as long as each step beyond takes. A region without a measured round trip
// comes last.
//
//	w.Pools(60*time.Millisecond, 5*time.Second, 20*time.Millisecond) // 100 ms: after 10 s
func (w *Wish) Pools(near, wait, step time.Duration) (pools []queue.Pool) {
	for _, r := range w.Regions {
		rtt := time.Duration(r.Milliseconds) * time.Millisecond
		if rtt == 0 {
			rtt = time.Second
		}
		beyond := (max(min(rtt, time.Second)-near, 0) + step - 1) / step
		pools = append(pools, queue.Pool{Name: r.Name, After: beyond * wait})
	}
	return pools
}

const maxOfWish, maxOfName = 16, 64

// check refuses what no honest client asks for.
func (w *Wish) check() error {
	bad := len(w.Regions) > maxOfWish || len(w.Fields) > maxOfWish
	for i, r := range w.Regions {
		bad = bad || len(r.Name) > maxOfName || slices.ContainsFunc(w.Regions[:i], func(o Region) bool { return o.Name == r.Name })
	}
	for _, f := range w.Fields {
		bad = bad || len(f.Name) > maxOfName || len(f.Value) > maxOfName
	}
	if bad {
		return &framework.Error{Code: framework.ErrorBadRequest, Text: "a wish has at most 16 regions, each once, and 16 fields, of 64 bytes each"}
	}
	return nil
}

// Answer accepts or declines a match.
type Answer struct {
	Match  uint64
	Accept bool
}

// State says what a player's ticket waits for.
type State uint8

// The states of a Status.
const (
	None     State = iota // in no queue; Why says why, if it was in one
	Waiting               // for others
	Proposed              // for all to accept
	Seating               // for the room
	Matched               // in the room: the last that is told
)

// Status is what a player is told of its ticket, whenever it changes.
type Status struct {
	Queue string
	State State
	// Before is how many tickets are older.
	Before uint32
	// Usual is how long, in milliseconds, tickets have waited of late; 0: not known.
	Usual uint32
	// Waited is how long this one has, in milliseconds.
	Waited uint32
	// Match is to be told in Answer.
	Match uint64
	// Players has the match, and Accepted of them have accepted, You perhaps among them.
	Players, Accepted uint32
	You               bool
	// Left is how long there is to accept, in milliseconds.
	Left uint32
	// Why the ticket has come back or is over, a queue.Why, and in words; 0 at first.
	Why  uint8
	Text string
	// Type and Key name the room, once Matched.
	Type, Key string
}

// refused makes what a client is told of an error of the queue.
func refused(err error) error {
	var cool *queue.CooldownError
	code := framework.ErrorRefused
	switch {
	case err == nil:
		return nil
	case errors.As(err, &cool):
		wait := max(cool.Until.Sub(clock()), 0).Round(time.Second)
		return &framework.Error{Code: code, Text: "declined too often: come back in " + wait.String()}
	case errors.Is(err, queue.ErrFull):
		code = framework.ErrorBusy
	case errors.Is(err, queue.ErrTicket):
		code = framework.ErrorBadRequest
	case errors.Is(err, queue.ErrQueued), errors.Is(err, queue.ErrAbsent), errors.Is(err, queue.ErrNoMatch), errors.Is(err, queue.ErrSeating):
	default:
		return err
	}
	return &framework.Error{Code: code, Text: strings.TrimPrefix(err.Error(), "queue: ")} // a client knows no packages
}

func milliseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), 1<<32-1))
}
