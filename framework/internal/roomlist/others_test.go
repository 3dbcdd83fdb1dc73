// SPDX-License-Identifier: MIT

package roomlist

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestToldRoomsAreBounded: by number and by bytes, and those that a player may get into come
// first.
func TestToldRoomsAreBounded(t *testing.T) {
	ice := Room{Key: "ice", Players: 1, Seats: 2, Watched: 3, Open: true, Published: [][2]string{{"map", "ice"}}}
	full, shut := Room{Key: "a", Players: 2, Seats: 2, Open: true}, Room{Key: "b"}
	if got := Tell([]Room{full, shut, ice}); fmt.Sprint(got) != fmt.Sprint([]Room{ice, full, shut}) {
		t.Errorf("told %+v", got)
	}
	var many, large []Room
	for i := range MaxTold + 10 {
		many = append(many, Room{Key: fmt.Sprintf("%04d", i), Open: i >= 10})
		large = append(large, Room{Key: fmt.Sprintf("%04d", i), Open: true, Published: [][2]string{{"x", strings.Repeat("x", MaxPublished-1)}}})
	}
	if got := Tell(many); len(got) != MaxTold || got[0].Key != "0010" || got[MaxTold-1].Key != fmt.Sprint(MaxTold+9) {
		t.Errorf("told of %d rooms, from %s on", len(got), got[0].Key)
	}
	if got := Tell(large); len(got) != MaxToldBytes/(MaxPublished+36) {
		t.Errorf("told of %d large rooms", len(got))
	}
}

// TestOthersMergeWhatServersTell, and say what has changed.
func TestOthersMergeWhatServersTell(t *testing.T) {
	var o Others
	room := func(key string, players int) Room { return Room{Key: key, Players: players, Open: true} }
	tells := func(version uint64, rooms ...Room) Told { return Told{Version: version, Rooms: rooms} }
	for i, step := range []struct {
		told    map[string]Told
		changed string
		rooms   string
	}{
		{map[string]Told{"1": tells(1, room("a", 1)), "2": tells(7, room("b", 1), room("c", 1))}, "[a b c]", "[a1 b1 c1]"},
		{map[string]Told{"1": tells(1), "2": tells(8, room("b", 2), room("c", 1))}, "[b]", "[a1 b2 c1]"},
		{map[string]Told{"1": tells(2, room("a", 1), room("b", 5)), "2": {}}, "[b]", "[a1 b5 c1]"}, // b moves; 2 is silent
		{map[string]Told{"1": tells(2)}, "[c]", "[a1 b5]"},
		{map[string]Told{"1": tells(2), "3": {}}, "[]", "[a1 b5]"},
		{map[string]Told{}, "[a b]", "[]"},
	} {
		changed := o.Update(step.told)
		var rooms []string
		for _, r := range o.Append(nil, func(key string) bool { return false }) {
			rooms = append(rooms, fmt.Sprint(r.Key, r.Players))
		}
		slices.Sort(rooms)
		if fmt.Sprint(changed) != step.changed || fmt.Sprint(rooms) != step.rooms {
			t.Errorf("step %d: changed %v, rooms %v, want %s and %s", i, changed, rooms, step.changed, step.rooms)
		}
		if len(o.Known()) != len(step.told) {
			t.Errorf("step %d: %v are known", i, o.Known())
		}
	}
	many := map[string]Told{}
	for server := range 20 {
		var all []Room
		for i := range MaxTold + 10 {
			all = append(all, room(fmt.Sprint(server, "/", i), 0))
		}
		many[fmt.Sprint(server)] = tells(1, all...)
		if o.Update(maps.Clone(many)); len(o.rooms) != min((server+1)*MaxTold, MaxOthers) {
			t.Errorf("%d rooms of %d servers are known", len(o.rooms), server+1)
		}
	}
}

// TestOthersKnowTheFullestRoomForStrangers: not of a server where none can go.
func TestOthersKnowTheFullestRoomForStrangers(t *testing.T) {
	var o Others
	fullest := func(want string) {
		t.Helper()
		if key, ok := o.Fullest(); key != want || ok != (want != "") {
			t.Errorf("the fullest is %q, want %q", key, want)
		}
	}
	fullest("")
	var many []Free
	for i := range MaxFree + 1 {
		many = append(many, Free{fmt.Sprint("m", i), i + 2})
	}
	o.Update(map[string]Told{"1": {Version: 1, Free: []Free{{"a", 1}, {"b", 3}}}, "2": {Version: 1, Free: []Free{{"c", 2}}}, "3": {Version: 1, Free: many, Away: true}})
	for _, want := range []string{"b", "c", "a"} {
		fullest(want)
		o.NotFree(want)
	}
	fullest("")
	o.Update(map[string]Told{"1": {Away: true}, "2": {}, "3": {}})
	fullest(fmt.Sprint("m", MaxFree-1)) // no more of them are taken
	o.Update(map[string]Told{"1": {}, "2": {}})
	fullest("b")
}
