// SPDX-License-Identifier: MIT

// Package lifecycle decides which callback a player gets next.
//
// A State has two halves: what is true of the player, and what the game and its
// room have been told. The next task follows from the difference between them. So
// nothing is forgotten or told twice, and changes that cancel each other out
// before the game hears of them are never told.
//
// The package knows no clock, no lock and no goroutine. The caller runs one task
// at a time: it asks Next, calls Begin, runs the callback without a lock, and then
// calls Joined after JoinRoom and Close after Close. Events may come at any time,
// also while a callback runs.
package lifecycle

// Task is what to do next for a player.
type Task uint8

const (
	Nothing    Task = iota
	Open            // OnOpen
	Detach          // OnDetach of the server
	Resume          // OnResume of the server
	Close           // OnClose
	Message         // the handler of the oldest message
	JoinRoom        // OnJoin
	LeaveRoom       // OnLeave
	RoomDetach      // OnDetach of the room
	RoomResume      // OnResume of the room
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
	joining                    // a room was asked for
	inRoom                     // a member of a room
	leaving                    // asked to leave that room

	// What the game has been told.
	toldOpen
	toldAttached
	closed // OnClose has returned

	// What the room has been told, and what it has yet to hear.
	roomToldAttached
	roomReset
	roomReplaced
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
func (s *State) Replace() { s.set(replaced | roomReplaced) }

// Reset tells that the client came back to a RESET.
func (s *State) Reset() { s.set(reset | roomReset) }

// End tells that the session has ended, and so has no link.
func (s *State) End() {
	s.set(ending)
	s.clear(attached)
}

// Join asks for a room. A player that is in one leaves it first if Leave is called
// as well.
func (s *State) Join() { s.set(joining) }

// Leave asks to leave the room that the player is in.
func (s *State) Leave() { s.set(leaving) }

// Attached reports whether the session has a link.
func (s *State) Attached() bool { return s.has(attached) }

// Ending reports whether the session has ended. OnClose may be yet to come.
func (s *State) Ending() bool { return s.has(ending) }

// Opened reports whether OnOpen has begun.
func (s *State) Opened() bool { return s.has(toldOpen) }

// Closed reports whether OnClose has returned.
func (s *State) Closed() bool { return s.has(closed) }

// Next returns the task that is due. message says that a message waits to be
// handled, and slowed that messages have to wait while the session lives.
func (s *State) Next(message, slowed bool) Task {
	switch {
	case s.waits > 0 || s.has(closed):
		return Nothing
	case !s.has(toldOpen):
		return Open
	case s.has(leaving): // before joining: a player that moves is out before it is in
		return LeaveRoom
	case s.has(joining):
		return JoinRoom
	}
	if !s.has(ending) {
		switch {
		case s.has(toldAttached) && (!s.has(attached) || s.has(reset|replaced)):
			return Detach
		case !s.has(toldAttached) && s.has(attached):
			return Resume
		case s.has(inRoom) && s.has(roomToldAttached) && (!s.has(attached) || s.has(roomReset|roomReplaced)):
			return RoomDetach
		case s.has(inRoom) && !s.has(roomToldAttached) && s.has(attached):
			return RoomResume
		}
	}
	switch {
	case message && (!slowed || s.has(ending)):
		return Message
	case !s.has(ending):
		return Nothing
	case s.has(inRoom):
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
	case JoinRoom:
		// What is lost from here on may be what OnJoin sends.
		s.set(roomToldAttached)
		s.clear(roomReset | roomReplaced)
	case LeaveRoom:
		s.clear(inRoom | leaving)
	case RoomDetach:
		s.clear(roomToldAttached | roomReplaced)
	case RoomResume:
		snapshot = s.has(roomReset)
		s.set(roomToldAttached)
		s.clear(roomReset)
	}
	return snapshot
}

// Joined tells what became of JoinRoom: the player is in the room, or was refused.
func (s *State) Joined(in bool) {
	s.clear(joining)
	if in {
		s.set(inRoom)
	}
}

// Close tells that OnClose has returned.
func (s *State) Close() { s.set(closed) }
