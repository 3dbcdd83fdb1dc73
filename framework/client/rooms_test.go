// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// told are rooms and what their callbacks were told.
type told struct {
	t *testing.T
	rooms
	lines []string
}

func newTold(t *testing.T, types ...string) *told {
	k := &told{t: t}
	for _, name := range types {
		r := k.get(name)
		r.OnJoined(func(key string) { k.lines = append(k.lines, fmt.Sprint("joined ", name, key)) })
		r.OnLeft(func(key string, why Reason) {
			k.lines = append(k.lines, strings.TrimSpace(fmt.Sprint("left ", name, key, " ", why.Code, " ", why.Text)))
		})
	}
	return k
}

// news takes what the server tells, and compares what the callbacks were told for it.
func (k *told) news(route string, v any, want ...string) {
	k.t.Helper()
	payload, err := codec.AppendBody(nil, v)
	if err != nil {
		k.t.Fatal(err)
	}
	k.lines = nil
	if ours, err := k.take(route, payload); !ours || err != nil {
		k.t.Errorf("%s %v: ours %v, %v", route, v, ours, err)
	}
	if !slices.Equal(k.lines, want) {
		k.t.Errorf("%s %v: told %q, want %q", route, v, k.lines, want)
	}
}

// is compares the views with the rooms that the client is in: "a1 b7".
func (k *told) is(want string) {
	k.t.Helper()
	var in []string
	for _, name := range []string{"a", "b"} {
		if key, ok := k.get(name).Key(); ok {
			in = append(in, name+key)
		}
	}
	if got := strings.Join(in, " "); got != want {
		k.t.Errorf("in %q, want %q", got, want)
	}
}

func TestViewsFollowWhatTheServerTells(t *testing.T) {
	k := newTold(t, "a", "b")
	k.is("")
	k.news(routeJoined, seatNews{Type: "a", Key: "1"}, "joined a1")
	k.news(routeJoined, seatNews{Type: "a", Key: "1"}) // known
	k.news(routeJoined, seatNews{Type: "b", Key: "7", Watching: true}, "joined b7")
	k.is("a1 b7")
	if k.get("a").Watching() || !k.get("b").Watching() {
		t.Error("watching is not what was told")
	}
	// A move tells of the new seat first.
	k.news(routeJoined, seatNews{Type: "a", Key: "2"}, "joined a2")
	k.news(routeLeft, leaveNews{Type: "a", Key: "1", Code: session.Game, Text: "moved"}, fmt.Sprint("left a1 ", session.Code(session.Game), " moved"))
	k.is("a2 b7")
	k.news(routeLeft, leaveNews{Type: "b", Key: "7"}, fmt.Sprint("left b7 ", session.Code(0)))
	k.is("a2")

	// What was told while the client was away may be lost.
	k.news(routeRooms, []seatNews{{Type: "b", Key: "8"}}, fmt.Sprint("left a2 ", session.Code(0), " while the client was away"), "joined b8")
	k.news(routeRooms, []seatNews{{Type: "b", Key: "8"}})
	k.is("b8")
	k.news(routeRooms, []seatNews{{Type: "b", Key: "9"}}, fmt.Sprint("left b8 ", session.Code(0), " while the client was away"), "joined b9")

	k.lines = nil
	k.leaveAll(Reason{session.Kicked, "bye"}, func(*Room) bool { return false })
	if want := fmt.Sprint("left b9 ", session.Kicked, " bye"); len(k.lines) != 1 || k.lines[0] != want {
		t.Errorf("the session has ended: told %q, want %q", k.lines, want)
	}
	k.is("")
}

// TestResetOnTheMove: the old room is left although a RESET, or the end, came before that was
// told.
func TestResetOnTheMove(t *testing.T) {
	k := newTold(t, "a")
	k.news(routeJoined, seatNews{Type: "a", Key: "1"}, "joined a1")
	k.news(routeJoined, seatNews{Type: "a", Key: "2"}, "joined a2")
	k.news(routeJoined, seatNews{Type: "a", Key: "1"}, "joined a1") // and back
	k.news(routeLeft, leaveNews{Type: "a", Key: "1", Code: CodeRoomMoved}, fmt.Sprint("left a1 ", CodeRoomMoved))
	k.is("a1")
	k.news(routeRooms, []seatNews{{Type: "a", Key: "1"}}, fmt.Sprint("left a2 ", session.Code(0), " while the client was away"))
	k.news(routeJoined, seatNews{Type: "a", Key: "3"}, "joined a3")
	k.lines = nil
	k.leaveAll(Reason{session.Kicked, "bye"}, func(*Room) bool { return false })
	if want := fmt.Sprintf("[left a1 %v bye left a3 %[1]v bye]", session.Kicked); fmt.Sprint(k.lines) != want {
		t.Errorf("told %v, want %v", k.lines, want)
	}
	k.is("")
}

func TestNewsThatIsNotOfRoomsIsLeftAlone(t *testing.T) {
	k := newTold(t)
	if ours, err := k.take("chat", []byte{0xc1}); ours || err != nil {
		t.Errorf("a game's route: ours %v, %v", ours, err)
	}
	for _, route := range []string{routeJoined, routeLeft, routeRooms, routeListed} {
		if ours, err := k.take(route, []byte{0xc1}); !ours || err == nil {
			t.Errorf("%s with no payload: ours %v, %v", route, ours, err)
		}
	}
}

// A list is kept from its changes; a whole one begins anew.
func TestListIsKeptFromItsChanges(t *testing.T) {
	var k rooms
	var got string
	k.ask = func(context.Context, string, any, any) error { return errors.New("refused") }
	if err := k.get("a").Follow(t.Context(), "", func(list []RoomInfo) {
		got = ""
		for _, r := range list {
			got += fmt.Sprint(r.Key, r.Players, r.Published["map"], " ")
		}
	}); err == nil || err.Error() != "refused" {
		t.Errorf("Follow hides the answer: %v", err)
	}
	room := func(key string, players int) listedRoom {
		return listedRoom{Key: key, Players: players, Published: [][2]string{{"map", "ice"}}}
	}
	for _, c := range []struct {
		news listNews
		want string
	}{
		{listNews{Type: "a", Whole: true, Rooms: []listedRoom{room("y", 1), room("x", 2)}}, "x2ice y1ice "},
		{listNews{Type: "a", Rooms: []listedRoom{room("y", 3)}, Gone: []string{"x", "z"}}, "y3ice "},
		{listNews{Type: "b", Rooms: []listedRoom{room("y", 9)}}, "y3ice "}, // another type
		{listNews{Type: "a", Whole: true}, ""},
	} {
		if k.listed(c.news); got != c.want {
			t.Errorf("%+v: %q, want %q", c.news, got, c.want)
		}
	}
}
