// SPDX-License-Identifier: MIT

// Package core decides for package cluster: which server is alive, and which one owns a
// session. It knows no clock, goroutine, lock or network. `now` is handed in, as is what
// came of the last action, and the next action goes out. So every order of events and
// every fault can be tried in virtual time: simulation_test.go does.
//
// framework/cluster/SPEC.md says why the rules are as they are.
package core

import (
	"errors"
	"fmt"
	"time"
)

// Incarnation is one start of one server: the number of its node, and a boot that
// differs with every start. The zero value is none.
type Incarnation struct {
	Node uint16
	Boot uint32
}

func (i Incarnation) String() string { return fmt.Sprintf("%d.%08x", i.Node, i.Boot) }

// ErrIncarnation refuses a text that names no incarnation.
var ErrIncarnation = errors.New("cluster: not an incarnation")

// ParseIncarnation reads what String wrote.
func ParseIncarnation(s string) (i Incarnation, err error) {
	if n, err := fmt.Sscanf(s, "%d.%08x", &i.Node, &i.Boot); n != 2 || err != nil || i.String() != s {
		return Incarnation{}, fmt.Errorf("%w: %q", ErrIncarnation, s)
	}
	return i, nil
}

// Timing is what the safety of a cluster rests on. All servers of one have the same.
//
// DeclareAfter must be longer than Validity. A lease is renewed before it is seen, so
// whoever counts from what it has seen counts from later: when it declares a server
// dead, that server's lease has been over for the difference of the two at least.
type Timing struct {
	Renew        time.Duration // between two renewals of a lease
	Validity     time.Duration // how long a lease holds after the renewal was sent
	DeclareAfter time.Duration // without a renewal, before a server is declared dead
	Gap          time.Duration // without a renewal of its own, after which a watcher begins to count anew
	Stagger      time.Duration // by how much each watcher waits longer than the one before it
}

// Default is the Timing of every cluster.
var Default = Timing{
	Renew: 2 * time.Second, Validity: 14 * time.Second, DeclareAfter: 20 * time.Second,
	Gap: 4 * time.Second, Stagger: 500 * time.Millisecond,
}

// Status is what is known here of an incarnation. What is not known is Unknown, which
// is not Dead: nothing is taken from a server that may be alive.
type Status uint8

const (
	Unknown  Status = iota
	Up              // it takes players
	Draining        // it lives, and lets its players go
	Dead            // it has a tombstone: it acts no more, and never will
)

// View tells the status of an incarnation. It may be late, but Dead is for ever.
type View interface{ Status(Incarnation) Status }
