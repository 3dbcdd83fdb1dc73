// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"strings"

	"github.com/lifeline-go/lifeline/session"
)

// Reason is why a session ended, a player left a room, or a room ended.
type Reason struct {
	Code Code
	Text string
	// Detail is a number beside the text, for the client's code: see Player.KickWith.
	Detail uint64
}

// closeError is how the client is told.
func (r Reason) closeError() *session.CloseError {
	return &session.CloseError{Code: r.Code, Text: short(r.Text), Detail: r.Detail}
}

func (r Reason) String() string {
	text, ok := roomReasons[r.Code]
	if !ok {
		text = r.Code.String()
	}
	if r.Text != "" {
		text += ": " + r.Text
	}
	return text
}

// Why a player has left a room, or a room has ended, where no session has: the codes
// of a Reason beside those of package session.
const (
	// RoomFinished is why a room ends that was closed without a code of the game's.
	RoomFinished session.Code = 300
	// RoomEmpty is why a room ends that the last member has left, or into which
	// nobody came.
	RoomEmpty session.Code = 301
	// RoomMoved is why a player leaves that has got into another room of the type.
	RoomMoved session.Code = 302
	// RoomRemoved is why a player leaves that Room.Remove took out without a code of
	// the game's.
	RoomRemoved session.Code = 303
	// 304 is CodeRoomLost of package client.
)

var roomReasons = map[session.Code]string{
	RoomFinished: "room finished", RoomEmpty: "room empty", RoomMoved: "moved to another room", RoomRemoved: "removed from the room",
}

func ownCode(code, instead session.Code) session.Code {
	if code == 0 || code == instead {
		return instead
	}
	if code < session.Game {
		panic(fmt.Sprintf("framework: code %d is not the game's: those start at %d", code, session.Game))
	}
	return code
}

// short cuts a text for people to what fits into any packet.
func short(text string) string {
	const most = 256
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
