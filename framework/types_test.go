// SPDX-License-Identifier: MIT

package framework_test

import (
	"reflect"
	"testing"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
)

// Routes know the types that the game registered, for what is generated of them.
func TestRoutesKnowTheirTypes(t *testing.T) {
	srv, err := framework.New(framework.Config{})
	if err != nil {
		t.Fatal(err)
	}
	room := framework.AddRoom(srv, "room", func(r *framework.Room) *framework.Room { return r })
	framework.OnMessage(srv, "a", func(*framework.Player, int8) {})
	framework.OnRequest(srv, "b", func(*framework.Player, int8) (string, error) { return "", nil })
	framework.OnRaw(srv, "c", func(_ *framework.Player, _, dst []byte) ([]byte, error) { return dst, nil })
	framework.OnRoomMessage(room, "d", func(*framework.Room, *framework.Player, int8) {})
	framework.OnRoomRequest(room, "e", func(*framework.Room, *framework.Player, int8) (string, error) { return "", nil })
	framework.OnRoomRequestAsync(room, "async", func(*framework.Room, *framework.Player, int8, framework.Reply[string]) {})
	framework.SendsAs[bool](srv, framework.DropOldest, "a", "f")
	framework.Asks[bool, string](srv, "a", "g")
	srv.Sends(framework.DeliverAll, "h")
	i8, str, boolean, raw := reflect.TypeFor[int8](), reflect.TypeFor[string](), reflect.TypeFor[bool](), reflect.TypeFor[codec.Raw]()
	want := map[string]framework.RouteTypes{
		"a":                  {Message: i8, Push: boolean, Asked: boolean, Told: str},
		"b":                  {Question: i8, Answer: str},
		"c":                  {Question: raw, Answer: raw},
		"d":                  {Message: i8},
		"e":                  {Question: i8, Answer: str},
		"async":              {Question: i8, Answer: str},
		"f":                  {Push: boolean},
		"g":                  {Asked: boolean, Told: str},
		"h":                  {Untyped: true},
		framework.RouteJoin:  {},
		framework.RouteLeave: {},
		framework.RouteWatch: {},
		framework.RouteList:  {}, framework.RouteFollow: {}, framework.RouteUnfollow: {},
	}
	for _, route := range []string{framework.RouteJoined, framework.RouteLeft, framework.RouteRooms, framework.RouteListed} {
		want[route] = framework.RouteTypes{Untyped: true}
	}
	for _, r := range srv.Routes() {
		if got := r.Types(); got != want[r.Name()] {
			t.Errorf("%s: %+v", r.Name(), got)
		}
		delete(want, r.Name())
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	for name, f := range map[string]func(){
		"declared twice": func() { framework.SendsAs[int](srv, framework.DeliverAll, "f") },
		"asked twice":    func() { framework.Asks[int, int](srv, "g") },
		"a channel":      func() { framework.SendsAs[chan int](srv, framework.DeliverAll, "i") },
		"asks a channel": func() { framework.Asks[int, chan int](srv, "j") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
