// SPDX-License-Identifier: MIT

package lifecycle

// Seat is a player's place in one room, from the wish to join until OnLeave. The zero
// value is a wish. It is comparable.
type Seat struct{ is seatFlags }

type seatFlags uint8

const (
	inRoom  seatFlags = 1 << iota // OnJoin has let the player in
	leaving                       // asked to leave

	// What the room has been told, and what it has yet to hear.
	roomToldAttached
	roomReset
	roomReplaced
)

func (s *Seat) has(f seatFlags) bool { return s.is&f != 0 }

// Leave asks to leave the room. The player must be in it.
func (s *Seat) Leave() { s.is |= leaving }

// Replace tells that a new link took over from one that looked alive.
func (s *Seat) Replace() { s.is |= roomReplaced }

// Reset tells that the client came back to a RESET.
func (s *Seat) Reset() { s.is |= roomReset }

// In reports whether the player is in the room and was not asked to leave it.
func (s *Seat) In() bool { return s.is&(inRoom|leaving) == inRoom }

// Joining reports whether it is not decided yet whether the player gets in.
func (s *Seat) Joining() bool { return !s.has(inRoom) }

// Wish returns what is due for the seat of a player: see State.Next.
func (s *Seat) Wish(p *State) Task {
	switch {
	case !s.has(inRoom):
		return JoinRoom
	case s.has(leaving):
		return LeaveRoom
	case s.has(roomToldAttached) && (!p.has(attached) || s.has(roomReset|roomReplaced)):
		return RoomDetach
	case !s.has(roomToldAttached) && p.has(attached):
		return RoomResume
	}
	return StayInRoom
}

// Before reports whether a wish is more urgent than another one.
func (t Task) Before(other Task) bool { return other == Nothing || t < other }

// Begin notes that the callback of t is about to run. snapshot reports that
// OnSnapshot is due after it. After LeaveRoom there is no seat any more.
func (s *Seat) Begin(t Task) (snapshot bool) {
	switch t {
	case JoinRoom:
		// What is lost from here on may be what OnJoin sends.
		s.is = roomToldAttached
	case RoomDetach:
		s.is &^= roomToldAttached | roomReplaced
	case RoomResume:
		snapshot = s.has(roomReset)
		s.is = s.is&^roomReset | roomToldAttached
	}
	return snapshot
}

// Joined tells that OnJoin has let the player in. If it has not, the seat is no
// more.
func (s *Seat) Joined() { s.is |= inRoom }
