// SPDX-License-Identifier: MIT

// Package pipe brings messages from one server to the users of others, in order. A Sender
// has what is on its way from a server, a Receiver what came from one. Neither knows a
// clock, goroutine, lock or network: `now` and what came of the last step are handed in.
// So every order of events can be tried in virtual time: simulation_test.go does.
//
// framework/cluster/SPEC.md 11 says why the rules are as they are.
package pipe

import (
	"errors"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

// Address is where a message goes: to a user, at whichever server that is, or to a server.
type Address struct {
	User   string
	Server core.Incarnation // zero: to User
}

// Message is one on its way. It belongs to the Sender from Put until it is Ended.
type Message struct {
	To      Address
	Size    int // in bytes, as the bounds count it
	Content any // the caller's own

	put time.Duration
}

// Answer is what a server says of a message that came to it.
type Answer struct {
	Result Result
	Text   string // of Refused
	Detail uint64 // the caller's own
}

// Result is what came of a message.
type Result uint8

const (
	Done    Result = iota // it was handed over
	Refused               // it never will be
	Absent                // the user has no session here; it may have one elsewhere
)

// Ended is a message that is over, and nil if it was handed over, or why not.
type Ended struct {
	Message *Message
	Err     error
}

// Why a message was not taken, or not handed over.
var (
	ErrBackpressure = errors.New("cluster: too much waits for the user's server")
	ErrOffline      = errors.New("cluster: no server has a session of the user")
	ErrUnreachable  = errors.New("cluster: neither the directory nor the user's server could be reached in time")
	ErrUnknown      = errors.New("cluster: the user's server did not answer: the message was handed over, or not")
	ErrRefused      = errors.New("cluster: the user's server refuses the message")
)

// Limits bound what waits.
type Limits struct {
	Server   int // bytes for all users of one server, and for all whose server is not known yet
	User     int // bytes for one user
	Batch    int // bytes that go at once, but at least one message
	Messages int // that go at once
	// Gather is from one batch to the next at least, where the last one had more than one
	// message and less than a whole batch waits.
	Gather time.Duration
	// Patience is how long a message waits for a session that no server has for the
	// moment, or for a server that does not answer.
	Patience time.Duration
}

// Default is the Limits of every server.
var Default = Limits{Server: 8 << 20, User: 1 << 20, Batch: 64 << 10, Messages: 1024, Gather: time.Millisecond, Patience: 30 * time.Second}

// Place is what the directory says of a user.
type Place struct {
	Kind   PlaceKind
	Server core.Incarnation // if At
}

// PlaceKind says what a Place is.
type PlaceKind uint8

const (
	Unclear PlaceKind = iota // the directory did not answer
	Nowhere                  // the user has no session
	Parked                   // it has one that no server has for the moment
	At                       // Server has one
)

// Find reads a Place from the entries of a user's key. Of several sessions, which only a
// cluster that allows them has, it takes one of me, else the first that lives.
func Find(entries []core.Entry, user string, me core.Incarnation, v core.View) Place {
	found := Place{Kind: Nowhere}
	for _, e := range entries {
		switch {
		case e.User != user:
		case e.Owner == me:
			return Place{At, me}
		case found.Kind == At:
		case e.Owner == core.Incarnation{} || v.Status(e.Owner) == core.Dead: // until another server takes it
			found.Kind = Parked
		default:
			found = Place{At, e.Owner}
		}
	}
	return found
}
