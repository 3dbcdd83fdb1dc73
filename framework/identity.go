// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"reflect"

	"github.com/lifeline-go/lifeline/codec"
)

// Identity is what Config.Authenticate has made of a ticket.
type Identity struct {
	// User names the player: see Player.User. It may be empty.
	User string
	// Data is what was loaded of the player on the way: its account, its profile. It
	// becomes Player.Data before OnOpen, for DataOf to read. See CarryData for one that
	// goes to other servers with its player.
	Data any
}

// DataOf returns what Player.Data holds, as a T: what Config.Authenticate loaded, or
// the game has put there since. It is the zero T if there is nothing, and panics if
// there is something else. Like Data it belongs to the player's callbacks: what a
// room's OnTick reads, only the room may write.
func DataOf[T any](p *Player) T {
	var zero T
	if p.Data == nil {
		return zero
	}
	t, ok := p.Data.(T)
	if !ok {
		panic(fmt.Sprintf("framework: the data of player %q is a %T and no %v", p.user, p.Data, reflect.TypeFor[T]()))
	}
	return t
}

// carried encodes Player.Data for another server.
type carried struct {
	encode func(data any) ([]byte, error)
	decode func(b []byte) (any, error)
}

// CarryData makes Player.Data go with the player when its session moves to another
// server (see Player.Move), encoded as a message is: only exported fields go. Data of
// another type than T stays behind, which is logged. It is there before Config.Unpack
// and OnOpen. Servers that share a Store carry the same type. A T whose values would
// not arrive whole panics (see codec.CheckType), and so does a second call.
func CarryData[T any](s *Server) {
	s.mustBeRegistering("CarryData")
	of := reflect.TypeFor[T]()
	if err := codec.CheckType(of); err != nil {
		panic("framework: CarryData: " + err.Error())
	}
	if s.carried != nil {
		panic("framework: CarryData was called before")
	}
	s.carried = &carried{
		encode: func(data any) ([]byte, error) {
			t, ok := data.(T)
			if !ok {
				return nil, fmt.Errorf("framework: data is a %T and no %v", data, of)
			}
			return codec.AppendBody(nil, &t)
		},
		decode: func(b []byte) (any, error) {
			var t T
			err := codec.DecodeBody(b, &t)
			return t, err
		},
	}
}

// luggage is what goes to another server where data is carried.
type luggage struct {
	Data []byte // empty: none
	App  []byte // made by Config.Pack
}

// packData adds the player's data to what Config.Pack has made.
func (p *Player) packData(app []byte) []byte {
	c := p.srv.carried
	if c == nil {
		return app
	}
	l := luggage{App: app}
	if p.Data != nil {
		var err error
		if l.Data, err = c.encode(p.Data); err != nil {
			p.srv.log.Error("the player's data does not move", "session", p.ID(), "user", p.label(), "error", err)
		}
	}
	b, err := codec.AppendBody(nil, &l)
	if err != nil { // it is bytes only
		return nil
	}
	return b
}

// unpackData takes the player's data out of what has come, and returns the rest.
func (p *Player) unpackData(app []byte) []byte {
	c := p.srv.carried
	if c == nil || app == nil {
		return app
	}
	var l luggage
	err := codec.DecodeBody(app, &l)
	if err == nil && len(l.Data) > 0 {
		var data any
		if data, err = c.decode(l.Data); err == nil {
			p.Data = data
		}
	}
	if err != nil {
		p.srv.log.Error("the player's data has not come", "session", p.ID(), "user", p.label(), "error", err)
	}
	if len(l.App) == 0 {
		return nil
	}
	return l.App
}
