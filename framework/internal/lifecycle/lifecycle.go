// SPDX-License-Identifier: MIT

// Package lifecycle decides which callback a player gets next.
//
// A State has two halves: what is true of the player, and what the game has been
// told. The next task follows from the difference between them. So nothing is
// forgotten or told twice, and changes that cancel each other out before the game
// hears of them are never told. A Seat is the same for one room of the player's.
//
// The package knows no clock, no lock and no goroutine. The caller runs one task
// at a time: it asks each Seat for its wish and Next with the most urgent of them,
// calls Begin, runs the callback without a lock, and then calls Joined after
// JoinRoom and Close after Close. Events may come at any time, also while a callback
// runs.
package lifecycle

// Task is what to do next for a player.
type Task uint8

const (
	Nothing Task = iota
	Open         // OnOpen
	Detach       // OnDetach of the server
	Resume       // OnResume of the server
	Close        // OnClose
	Message      // the handler of the oldest message

	// Of a seat, the most urgent first.
	LeaveRoom  // OnLeave
	JoinRoom   // OnJoin
	RoomDetach // OnDetach of the room
	RoomResume // OnResume of the room
	StayInRoom // no callback: the seat is left when the session ends
)

// State is the lifecycle of one player. The zero value is a session that has just
// been opened and has no link yet. It is comparable, and takes 8 bytes.
type State struct {
	waits int32 // sessions that must end before this one opens
	is    flags
}

type flags uint16

const (
	// What is true.
	attached flags = 1 << iota // the session has a link
	reset                      // a RESET that the game has not been told
	replaced                   // a new link took over from one that looked alive
	ending                     // the session has ended

	// What the game has been told.
	toldOpen
	toldAttached
	closed // OnClose has returned
)

func (s *State) has(f flags) bool { return s.is&f != 0 }
func (s *State) set(f flags)      { s.is |= f }
func (s *State) clear(f flags)    { s.is &^= f }

// WaitFor makes the session open only after n others have ended.
func (s *State) WaitFor(n int) { s.waits = int32(n) }

// OtherEnded tells that one of the sessions that are waited for has ended.
func (s *State) OtherEnded() { s.waits-- }

// Attach tells that the session has a link.
func (s *State) Attach() { s.set(attached) }

// Detach tells that the session has no link.
func (s *State) Detach() { s.clear(attached) }

// Replace tells that a new link took over from one that looked alive.
func (s *State) Replace() { s.set(replaced) }

// Reset tells that the client came back to a RESET.
func (s *State) Reset() { s.set(reset) }

// End tells that the session has ended, and so has no link.
func (s *State) End() {
	s.set(ending)
	s.clear(attached)
}

// Attached reports whether the session has a link.
func (s *State) Attached() bool { return s.has(attached) }

// Ending reports whether the session has ended. OnClose may be yet to come.
func (s *State) Ending() bool { return s.has(ending) }

// Opened reports whether OnOpen has begun.
func (s *State) Opened() bool { return s.has(toldOpen) }

// Closed reports whether OnClose has returned.
func (s *State) Closed() bool { return s.has(closed) }

// Next returns the task that is due. message says that a message waits to be
// handled, and slowed that messages have to wait while the session lives. seat is
// the most urgent wish of all seats, Nothing without one.
func (s *State) Next(message, slowed bool, seat Task) Task {
	switch {
	case s.waits > 0 || s.has(closed):
		return Nothing
	case !s.has(toldOpen):
		return Open
	case seat == LeaveRoom || seat == JoinRoom:
		return seat
	}
	if !s.has(ending) {
		switch {
		case s.has(toldAttached) && (!s.has(attached) || s.has(reset|replaced)):
			return Detach
		case !s.has(toldAttached) && s.has(attached):
			return Resume
		case seat == RoomDetach || seat == RoomResume:
			return seat
		}
	}
	switch {
	case message && (!slowed || s.has(ending)):
		return Message
	case !s.has(ending):
		return Nothing
	case seat != Nothing: // StayInRoom, as no other wish is left
		return LeaveRoom
	}
	return Close
}

// Begin notes that the callback of t is about to run. snapshot reports that
// OnSnapshot is due after it.
func (s *State) Begin(t Task) (snapshot bool) {
	switch t {
	case Open:
		s.set(toldOpen | toldAttached)
	case Detach:
		s.clear(toldAttached | replaced)
	case Resume:
		snapshot = s.has(reset)
		s.set(toldAttached)
		s.clear(reset)
	}
	return snapshot
}

// Close tells that OnClose has returned.
func (s *State) Close() { s.set(closed) }
