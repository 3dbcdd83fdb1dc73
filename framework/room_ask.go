// SPDX-License-Identifier: MIT

package framework

import (
	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
)

// This file is what clients ask of rooms: codec/SPEC 6.4.

// The built-in requests of clients.
const (
	// RouteJoin enters a room: [type, key]. An empty key stands for any room with a
	// free seat. The answer is the key of the room.
	RouteJoin = "room.join"
	// RouteLeave leaves the room of a type: [type]. Without one it is the only room
	// that the player is in.
	RouteLeave = "room.leave"
	// RouteWatch enters a room to listen only: [type, key]. The answer is the key.
	RouteWatch = "room.watch"
)

func (s *Server) addRoomRoutes() {
	s.add(RouteJoin, handler{reply: true, begin: s.beginJoin}, RouteTypes{})
	s.add(RouteLeave, handler{reply: true, begin: s.beginLeave}, RouteTypes{})
}

func (s *Server) beginJoin(p *Player, asked mailbox.Question, payload []byte) error {
	return s.beginEnter(p, asked, payload, false)
}

func (s *Server) beginWatch(p *Player, asked mailbox.Question, payload []byte) error {
	return s.beginEnter(p, asked, payload, true)
}

func (s *Server) beginEnter(p *Player, asked mailbox.Question, payload []byte, watch bool) error {
	var q struct{ Type, Key string }
	if err := codec.DecodeBody(payload, &q); err != nil {
		return badRequest(err)
	}
	k, err := s.roomType(q.Type)
	if err != nil {
		return err
	}
	if k.private && !watch {
		return k.deny(refusal(codec.ErrorRefused, "rooms of type "+k.name+" are private: the server puts players in"))
	}
	return k.planJoin(p, joinWish{key: q.Key, watch: watch, asked: true, request: asked}, func(key string, err error) {
		if err != ErrMoved { // else the answer comes from there
			p.answer(asked, key, err)
		}
	})
}

func (s *Server) beginLeave(p *Player, asked mailbox.Question, payload []byte) error {
	var types []string
	if err := codec.DecodeBody(payload, &types); err != nil {
		return badRequest(err)
	}
	k, err := p.leavesWhich(types)
	if err != nil {
		return err
	}
	if k.private && !p.watches(k) {
		return k.deny(refusal(codec.ErrorRefused, "rooms of type "+k.name+" are private: the server takes players out"))
	}
	err = p.planLeave(k, func() { p.answer(asked, nil, nil) })
	if err != nil {
		s.count.notJoined.Add(1)
	}
	return err
}

// leavesWhich returns the type of room that a client wants to leave.
func (p *Player) leavesWhich(types []string) (*roomKind, error) {
	if len(types) > 0 {
		return p.srv.roomType(types[0])
	}
	switch in := p.Rooms(); len(in) {
	case 0:
		p.srv.count.notJoined.Add(1)
		return nil, notJoined()
	case 1:
		return in[0].kind, nil
	default:
		return nil, refusal(codec.ErrorBadRequest, "in several rooms: say of which type is the one to leave")
	}
}
