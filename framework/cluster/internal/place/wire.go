// SPDX-License-Identifier: MIT

package place

import (
	"errors"
	"fmt"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/session"
)

// Question asks the owner of a room, or the server where it shall be, for a seat. If Session
// is zero no seat is wanted, only that the room is open.
type Question struct {
	Type, Key string
	User      string
	Session   session.ID
}

// Answer is what the server says that was asked.
type Answer struct {
	Says Says
	Why  Refusal // of Refuses
	Gen  uint64  // of Seated
	Load Load    // of the server
}

// Says is the kind of an Answer.
type Says uint8

const (
	Working Says = iota // the room opens, closes or moves: the entry will tell
	Seated              // the room is open here, and has a seat for the session for SeatTime
	Refuses             // Why
	NotHere             // the room is not here, and is not made here
)

// Refusal is why a player does not get into a room.
type Refusal uint8

const (
	Granted   Refusal = iota
	Full              // all seats are taken, or kept
	Closed            // the room lets no player in
	TooMany           // as many seats are kept as may be
	Collision         // another room has the same key of the directory
	TooLong           // the type or the key is longer than MaxName
)

var refusals = [...]string{
	Granted: "granted", Full: "the room is full", Closed: "the room is closed", TooMany: "too many are on their way into rooms",
	Collision: "another room has that place in the directory", TooLong: fmt.Sprintf("a type or key of more than %d bytes", MaxName),
}

func (r Refusal) String() string { return refusals[r] }

// ErrMessage refuses what another server says of rooms.
var ErrMessage = errors.New("cluster: not a message about a room")

type questionBody struct {
	Type, Key, User string
	Session         []byte
}

type answerBody struct {
	Says, Why         uint8
	Gen               uint64
	Node              uint16
	Boot              uint32
	Players, Capacity uint32
}

// Append appends the question as it is sent.
func (q Question) Append(dst []byte) []byte {
	return appendBody(dst, &questionBody{q.Type, q.Key, q.User, q.Session[:]})
}

// ParseQuestion reads what Append wrote.
func ParseQuestion(b []byte) (Question, error) {
	var body questionBody
	if err := codec.DecodeBody(b, &body); err != nil {
		return Question{}, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	if len(body.Session) != len(session.ID{}) || len(body.Type) > MaxName || len(body.Key) > MaxName {
		return Question{}, fmt.Errorf("%w: a session of %d bytes, a type of %d, a key of %d", ErrMessage, len(body.Session), len(body.Type), len(body.Key))
	}
	return Question{body.Type, body.Key, body.User, session.ID(body.Session)}, nil
}

// Append appends the answer as it is sent.
func (a Answer) Append(dst []byte) []byte {
	return appendBody(dst, &answerBody{uint8(a.Says), uint8(a.Why), a.Gen, a.Load.Node.Node, a.Load.Node.Boot, uint32(a.Load.Players), uint32(a.Load.Capacity)})
}

// ParseAnswer reads what Append wrote.
func ParseAnswer(b []byte) (Answer, error) {
	var body answerBody
	if err := codec.DecodeBody(b, &body); err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	if body.Says > uint8(NotHere) || int(body.Why) >= len(refusals) {
		return Answer{}, fmt.Errorf("%w: an answer %d, %d", ErrMessage, body.Says, body.Why)
	}
	load := Load{core.Incarnation{Node: body.Node, Boot: body.Boot}, int(body.Players), int(body.Capacity)}
	return Answer{Says(body.Says), Refusal(body.Why), body.Gen, load}, nil
}
