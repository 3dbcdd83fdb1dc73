// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"reflect"

	"github.com/lifeline-go/lifeline/codec"
)

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
