// SPDX-License-Identifier: MIT

// Package swarm is the players' side of the room example: the messages both
// sides speak, and bots that play, pull their cable and count.
package swarm

// The messages of the room, by route. On the wire they are arrays in this
// order, so fields may only be appended.
type (
	// Seat, on "seat", tells a player who just joined who it is.
	Seat struct {
		ID   int
		Side float32 // of the square
	}
	// View answers "look": who is who. A player asks for it when it has joined,
	// when it was reset, and when it sees a stranger.
	View struct {
		ID      int     // of whoever asks
		Side    float32 // of the square
		Step    float32 // milliseconds between two states
		Said    uint64  // number of the last chat message that came from it
		Players []Name
		Server  uint16 // the number of this server, 0: it is alone
		Other   bool   // there is another one, which the room can be handed over to
	}
	// Name is what a player is called.
	Name struct {
		ID     int
		Name   string
		Server uint16 // where the player logged in, 0: its server is alone
	}
	// Move, on "move", is where a player wants to be.
	Move struct{ X, Y float32 }
	// Chat, on "chat", goes to everybody. N counts the messages of its sender.
	Chat struct {
		N    uint64
		Text string
		From string // filled in by the room
	}
	// State, on "state", is everybody's place at a tick.
	State struct {
		Tick    uint64
		Players []Spot
	}
	// Spot is one player's place.
	Spot struct {
		ID      int
		X, Y    float32
		Dropped bool // without a link; the seat is kept
	}
)
