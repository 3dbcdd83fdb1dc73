// SPDX-License-Identifier: MIT

package roomlist

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/lifeline-go/lifeline/framework/internal/filter"
)

// TestChoose: filters see what is published, and the seats.
func TestChoose(t *testing.T) {
	den := Room{Key: "den", Players: 3, Seats: 4, Watched: 2, Open: true, Published: [][2]string{{"map", "ice"}, {"rating", "1200"}}}
	hall := Room{Key: "hall", Published: [][2]string{{"map", "10"}}}
	for text, want := range map[string]string{
		"": "den hall", "map=ice": "den", "map!=ice": "hall", "mode=ranked": "", "rating>=1000": "den", "players=3": "den",
		"free>0": "den hall", "free>1": "hall", "seats>=1": "den", "watched=2 open=true": "den", "key=hall": "hall",
	} {
		list := Choose(parse(t, text), []Room{hall, den}, 1<<20)
		var got []string
		for _, r := range list.Rooms {
			got = append(got, r.Key)
		}
		if strings.Join(got, " ") != want || list.Total != len(got) {
			t.Errorf("%q chooses %q of %d, want %q", text, got, list.Total, want)
		}
	}
}

func parse(t *testing.T, text string) filter.Filter {
	t.Helper()
	f, err := filter.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestChooseIsBounded: by rooms, and by what fits into a body.
func TestChooseIsBounded(t *testing.T) {
	var all []Room
	for i := range 300 {
		all = append(all, Room{Key: fmt.Sprintf("%03d", 299-i)})
	}
	if list := Choose(nil, all, 1<<20); len(list.Rooms) != MaxListed || list.Total != 300 || list.Rooms[0].Key != "000" {
		t.Errorf("%d rooms of %d", len(list.Rooms), list.Total)
	}
	if list := Choose(nil, all, 1000); len(list.Rooms) != 7 || list.Total != 300 {
		t.Errorf("%d rooms of %d fit into 1,000 bytes", len(list.Rooms), list.Total)
	}
}

// TestListsOfManyRooms: with 20,000 rooms of a type, under the lock of which all this is done, a
// list costs no copy of all that its filter chooses, and the news of many lists one look at all.
func TestListsOfManyRooms(t *testing.T) {
	const lists, most = 8, 100 << 10
	all := make([]Room, 20_000)
	for i, n := range rand.New(rand.NewPCG(1, 1)).Perm(len(all)) {
		all[i] = Room{Key: fmt.Sprintf("%05d", n), Players: 1, Seats: 4}
	}
	costs := func(what string, f func()) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > lists*most {
			t.Errorf("%s: %d bytes, want %d at most", what, n, lists*most)
		}
	}
	var feed Feed[int]
	costs("follow", func() {
		for who := range lists {
			text := fmt.Sprintf("players<%d", 2+who)
			list, _ := feed.Follow(who, text, parse(t, text), all)
			if list.Total != len(all) || len(list.Rooms) != MaxListed || list.Rooms[99].Key != "00099" {
				t.Fatalf("%d of %d rooms", len(list.Rooms), list.Total)
			}
			if changed := feed.Listed(who, text, list, all); changed != nil {
				t.Fatalf("%q have changed", changed)
			}
		}
	})
	feed.Changed("00007")
	rest := slices.DeleteFunc(slices.Clone(all), func(r Room) bool { return r.Key == "00007" })
	looks := 0
	costs("news", func() {
		for _, n := range feed.News(func(string) (Room, bool) { return Room{}, false }, func() []Room { looks++; return rest }) {
			if len(n.Rooms) != 1 || n.Rooms[0].Key != "00100" || !slices.Equal(n.Gone, []string{"00007"}) {
				t.Errorf("news: %+v", n)
			}
		}
	})
	if looks != 1 {
		t.Errorf("%d looks at all rooms for the news of %d lists", looks, lists)
	}
	costs("choose", func() { Choose(nil, all, 1<<20) })
	order := slices.Clone(all)
	costs("tell", func() { Tell(order) })
	if !slices.EqualFunc(order, all, func(a, b Room) bool { return a.Key == b.Key }) {
		t.Error("Tell sorts all rooms")
	}
}

// TestFollowersKnowTheList: whatever happens to the rooms, after the news each follower
// knows what its filter chooses, and is told nothing that it knows.
func TestFollowersKnowTheList(t *testing.T) {
	texts := []string{"", "open=true", "players>1", "map=ice"}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		var feed Feed[int]
		rooms := map[string]Room{}
		knows := map[int]map[string]Room{} // by follower
		follows := map[int]string{}
		listed := map[int]List{} // on its way
		pending := false
		all := func() (list []Room) {
			for _, r := range rooms {
				list = append(list, r)
			}
			return list
		}
		changed := func(key string) {
			if arm := feed.Changed(key); arm && pending {
				t.Fatal("armed twice")
			} else if arm {
				pending = true
			}
		}
		flush := func() {
			if !pending {
				return
			}
			for _, n := range feed.News(func(key string) (Room, bool) { r, ok := rooms[key]; return r, ok }, all) {
				for _, to := range n.To {
					for _, r := range n.Rooms {
						knows[to][r.Key] = r
					}
					for _, key := range n.Gone {
						delete(knows[to], key)
					}
				}
			}
			pending = feed.Told()
		}
		for range 400 {
			key, who := fmt.Sprint(rng.IntN(6)), rng.IntN(4)
			switch rng.IntN(8) {
			case 0, 1, 2:
				r := Room{Key: key, Players: rng.IntN(4), Open: rng.IntN(2) == 0}
				if rng.IntN(2) == 0 {
					r.Published = [][2]string{{"map", "ice"}}
				}
				rooms[key] = r
				changed(key)
			case 3:
				delete(rooms, key)
				changed(key)
			case 4:
				text := texts[rng.IntN(len(texts))]
				f := parse(t, text)
				list, ok := feed.Follow(who, text, f, all())
				if !ok {
					t.Fatal("too many lists")
				}
				follows[who], listed[who] = text, list
				knows[who] = nil
			case 5:
				if list, ok := listed[who]; ok {
					knows[who] = map[string]Room{}
					for _, r := range list.Rooms {
						knows[who][r.Key] = r
					}
					delete(listed, who)
					for _, key := range feed.Listed(who, follows[who], list, all()) {
						changed(key)
					}
				}
			case 6:
				feed.Unfollow(who)
				delete(follows, who)
				delete(listed, who)
				delete(knows, who)
			case 7:
				flush()
			}
		}
		flush()
		flush()
		for who, text := range follows {
			if _, ok := listed[who]; ok {
				continue // it has not been told the list
			}
			f := parse(t, text)
			want := Choose(f, all(), 1<<20).Rooms
			if len(want) != len(knows[who]) {
				t.Fatalf("seed %d: follower %d of %q knows %v, want %v", seed, who, text, knows[who], want)
			}
			for _, r := range want {
				if got := knows[who][r.Key]; got.Key != r.Key || !got.equal(&r) {
					t.Fatalf("seed %d: follower %d of %q knows %v, want %v", seed, who, text, got, r)
				}
			}
		}
		for who := range 4 {
			if text, ok := feed.Follows(who); text != follows[who] || ok != has(follows, who) {
				t.Errorf("seed %d: follower %d follows %q %v, want %q", seed, who, text, ok, follows[who])
			}
			feed.Unfollow(who)
		}
		if feed.Len() != 0 || feed.Changed("a") {
			t.Errorf("seed %d: without followers changes are noted", seed)
		}
	}
}

// TestFollowersOfLongLists: however many rooms come and go, after the news every follower
// knows as many as a list may have, as they are, and of a short list all.
func TestFollowersOfLongLists(t *testing.T) {
	texts := []string{"", "open=true"}
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 8))
		var feed Feed[int]
		rooms := map[string]Room{}
		knows := map[int]map[string]Room{} // by follower
		follows := map[int]string{}
		for range 40 {
			for range rng.IntN(60) {
				key := fmt.Sprintf("%03d", rng.IntN(MaxListed+60))
				if rng.IntN(3) == 0 {
					delete(rooms, key)
				} else {
					rooms[key] = Room{Key: key, Players: rng.IntN(4), Open: rng.IntN(4) > 0}
				}
				feed.Changed(key)
			}
			if who := rng.IntN(3); rng.IntN(2) == 0 {
				text := texts[rng.IntN(len(texts))]
				list, _ := feed.Follow(who, text, parse(t, text), slices.Collect(maps.Values(rooms)))
				follows[who], knows[who] = text, map[string]Room{}
				for _, r := range list.Rooms {
					knows[who][r.Key] = r
				}
				for _, key := range feed.Listed(who, text, list, slices.Collect(maps.Values(rooms))) {
					feed.Changed(key)
				}
			}
			for _, n := range feed.News(func(key string) (Room, bool) { r, ok := rooms[key]; return r, ok }, func() []Room { return slices.Collect(maps.Values(rooms)) }) {
				for _, to := range n.To {
					for _, r := range n.Rooms {
						knows[to][r.Key] = r
					}
					for _, key := range n.Gone {
						delete(knows[to], key)
					}
				}
			}
			feed.Told()
			for who, text := range follows {
				total := Choose(parse(t, text), slices.Collect(maps.Values(rooms)), 1<<20).Total
				if n := len(knows[who]); n != min(total, MaxListed) {
					t.Fatalf("seed %d: follower %d of %q knows %d rooms of %d", seed, who, text, n, total)
				}
				for key, r := range knows[who] {
					if now, ok := rooms[key]; !ok || !now.equal(&r) {
						t.Fatalf("seed %d: follower %d of %q knows %v, and it is %v", seed, who, text, r, now)
					}
				}
			}
		}
	}
}

func has(m map[int]string, key int) bool { _, ok := m[key]; return ok }

// TestListsAreBounded: so many different ones may be followed.
func TestListsAreBounded(t *testing.T) {
	var feed Feed[int]
	for i := range maxFilters + 1 {
		text := fmt.Sprint("players=", i)
		f := parse(t, text)
		if _, ok := feed.Follow(i, text, f, nil); ok != (i < maxFilters) {
			t.Errorf("list %d is followed: %v", i+1, ok)
		}
	}
	if _, ok := feed.Follow(1000, "players=1", nil, nil); !ok || feed.Len() != maxFilters {
		t.Errorf("a list that is there: %v, %d lists", ok, feed.Len())
	}
	if _, ok := feed.Follow(5, "players=1000", nil, nil); !ok || feed.Len() != maxFilters {
		t.Errorf("the only follower of a list takes another one: %v, %d lists", ok, feed.Len())
	}
	if text, _ := feed.Follows(1000); text != "players=1" {
		t.Errorf("it follows %q", text)
	}
	if _, ok := feed.Follow(1000, "players=2000", nil, nil); ok {
		t.Error("one list too many")
	}
	if text, _ := feed.Follows(1000); text != "players=1" {
		t.Errorf("refused, it follows %q", text)
	}
	feed.Unfollow(0)
	if changed := feed.Listed(0, "players=0", List{}, []Room{{Key: "a"}}); slices.Contains(changed, "a") {
		t.Error("Listed of what has unfollowed")
	}
}
