// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

func listed(_ *framework.Server, rooms *bouts, _ *diary) {
	rooms.Listed().Seats(2).Spectators(1).Private()
}

// publish opens a match that publishes its map and a rating.
func publish(t *testing.T, rooms *bouts, mapName string, rating int) string {
	t.Helper()
	key := open(t, rooms, boutParams{Map: mapName})
	done := make(chan error)
	rooms.Post(key, func(b *bout) {
		done <- b.Publish(map[string]string{"map": mapName, "rating": fmt.Sprint(rating), "name": "the " + mapName})
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return key
}

func mapsOf(list []client.RoomInfo) (names []string) {
	for _, r := range list {
		names = append(names, r.Published["map"])
	}
	slices.Sort(names)
	return names
}

// TestListsOfRoomsAreFiltered by what rooms publish, and by their seats.
func TestListsOfRoomsAreFiltered(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
			ctx := context.Background()
			ice := publish(t, rooms, "ice", 900)
			publish(t, rooms, "sand", 1000)
			publish(t, rooms, "wood", 1100)
			open(t, rooms, boutParams{}) // publishes nothing
			ann := e.dial("ann", carrier)
			if err := rooms.Seat(ctx, ice, e.srv.User("ann")[0]); err != nil {
				t.Fatal(err)
			}
			roomOf(e.srv.User("ann")[0]).SetOpen(false)
			for filter, want := range map[string]string{
				"": " ice sand wood", "map=ice": "ice", `name="the sand"`: "sand", "map!=ice": " sand wood", "rating>=1000": "sand wood",
				"rating<1000": "ice", "rating<=900.0": "ice", "rating>950 rating<1050": "sand", "players=1": "ice", "free=2": " sand wood",
				"free>0 map=ice": "ice", "open=false": "ice", "seats=2 watched=0 map=wood": "wood", "key=" + ice: "ice", "map>a": "", "color=red": "",
			} {
				list, total, err := ann.Room("match").List(ctx, filter)
				if got := strings.Join(mapsOf(list), " "); err != nil || got != want || total != len(list) {
					t.Errorf("%q chooses %q of %d, want %q, %v", filter, got, total, want, err)
				}
			}
			list, _, _ := ann.Room("match").List(ctx, "map=ice")
			if r := list[0]; r.Key != ice || r.Players != 1 || r.Seats != 2 || r.Open || r.Published["name"] != "the ice" {
				t.Errorf("told %+v", r)
			}
		}, listed)
	})
}

// TestBadListsAreRefused: with a code, and nothing has changed.
func TestBadListsAreRefused(t *testing.T) {
	boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
		ctx := context.Background()
		c := e.dial("ann", transport.TCP)
		for _, filter := range []string{
			"map", "=ice", "map=", "map ice", "map=ice=sand", `map="ice`, "map==ice", "!=", strings.Repeat("x", 257),
			strings.Repeat("a=1 ", 9), "map=<>", strings.Repeat("k", 60<<10),
		} {
			_, _, err := c.Room("match").List(ctx, filter)
			wantCode(t, err, codec.ErrorBadRequest)
			wantCode(t, c.Room("match").Follow(ctx, filter, func([]client.RoomInfo) {}), codec.ErrorBadRequest)
		}
		_, _, err := c.Room("nowhere").List(ctx, "")
		wantCode(t, err, codec.ErrorNoRoute)
		_, _, err = c.Room("lobby").List(ctx, "")
		wantCode(t, err, codec.ErrorRefused)
		key := open(t, rooms, boutParams{})
		rooms.Post(key, func(b *bout) {
			for _, bad := range []map[string]string{{"": "x"}, {"a b": "x"}, {"a=": "x"}, {"a": "\n"}, {"a": strings.Repeat("x", 513)},
				{"open": "x"}, {"free": "x"}, {"seats": "x"}, {"key": "x"}} {
				if b.Publish(bad) == nil {
					t.Errorf("%q was published", bad)
				}
			}
		})
		time.Sleep(10 * time.Second) // lists are charged
		if list, _, err := c.Room("match").List(ctx, ""); err != nil || len(list) != 1 || len(list[0].Published) != 0 {
			t.Errorf("listed %+v, %v", list, err)
		}
		// Too many of them are refused, and counted.
		refused := 0
		for range 800 {
			if _, _, err := c.Room("match").List(ctx, ""); err != nil {
				wantCode(t, err, codec.ErrorBusy)
				refused++
			}
		}
		if n := e.srv.Stats().RateLimited; refused == 0 || n != uint64(refused) {
			t.Errorf("%d refused, %d counted", refused, n)
		}
	}, listed, func(s *framework.Server, _ *bouts, d *diary) {
		framework.AddRoom(s, "lobby", func(r *framework.Room) *lobby { return &lobby{r, d} })
	})
}

// TestNewsOfTheListBeforeComeFirst: a player follows another list while it is to be told that
// a room has left the first one. The room is in the second one, and stays there.
func TestNewsOfTheListBeforeComeFirst(t *testing.T) {
	boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
		ctx := context.Background()
		var list atomic.Value // []string, ann's
		var all []*client.Client
		for _, user := range []string{"ann", "bob", "cat", "dan"} {
			all = append(all, e.dial(user, transport.TCP))
		}
		for round := range 6 { // which player is told first is chance
			time.Sleep(10 * time.Second) // lists are charged
			key := publish(t, rooms, "ice", 900)
			for _, c := range all {
				if err := c.Room("match").Follow(ctx, "map=ice", func(l []client.RoomInfo) {
					if c == all[0] {
						list.Store(mapsOf(l))
					}
				}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
			done := make(chan error)
			if !rooms.Post(key, func(b *bout) { done <- b.Publish(map[string]string{"map": "sand"}) }) || <-done != nil {
				t.Fatal("not published")
			}
			wait, err := e.srv.FollowMeanwhile("match", e.srv.User("ann")[0], "map=sand")
			if err != nil {
				t.Fatal(err)
			}
			wait()
			time.Sleep(3 * time.Second)
			if got, _ := list.Load().([]string); len(got) != 1 || got[0] != "sand" {
				t.Errorf("round %d: the list of sand is %q", round, got)
				return
			}
			time.Sleep(time.Minute) // the room is empty, and ends
		}
	}, listed)
}

// TestAListThatIsRefusedLeavesTheOneBefore: its function goes on hearing of it, and the other
// one hears nothing.
func TestAListThatIsRefusedLeavesTheOneBefore(t *testing.T) {
	boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
		var ice, bad atomic.Int64
		c := e.dial("ann", transport.TCP)
		if err := c.Room("match").Follow(context.Background(), "map=ice", func(l []client.RoomInfo) { ice.Store(int64(len(l))) }); err != nil {
			t.Error(err)
		}
		wantCode(t, c.Room("match").Follow(context.Background(), "map=", func([]client.RoomInfo) { bad.Add(1) }), codec.ErrorBadRequest)
		publish(t, rooms, "ice", 900)
		time.Sleep(2 * time.Second)
		if ice.Load() != 1 || bad.Load() != 0 {
			t.Errorf("the list has %d rooms, and the refused one was told %d times", ice.Load(), bad.Load())
		}
	}, listed)
}

// TestAListThatIsFollowedIsLive: rooms come, change and go, and so do followers.
func TestAListThatIsFollowedIsLive(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
			ctx := context.Background()
			publish(t, rooms, "ice", 900)
			var mu sync.Mutex
			lists := map[string]string{} // by user, under mu
			seen := func(user string) string {
				mu.Lock()
				defer mu.Unlock()
				return lists[user]
			}
			follow := func(user, filter string) *client.Client {
				c := e.dial(user, carrier)
				if err := c.Room("match").Follow(ctx, filter, func(list []client.RoomInfo) {
					mu.Lock()
					defer mu.Unlock()
					lists[user] = ""
					for _, r := range list {
						lists[user] += fmt.Sprintf("%s:%d ", r.Published["map"], r.Players)
					}
				}); err != nil {
					t.Fatal(err)
				}
				return c
			}
			want := func(ann, bob string) {
				t.Helper()
				time.Sleep(2 * time.Second)
				if seen("ann") != ann || seen("bob") != bob {
					t.Errorf("ann sees %q, want %q; bob sees %q, want %q", seen("ann"), ann, seen("bob"), bob)
				}
			}
			ann := follow("ann", "rating<1000")
			want("ice:0 ", "")
			bob := follow("bob", "")
			want("ice:0 ", "ice:0 ")
			sand := publish(t, rooms, "sand", 1200)
			e.dial("eve", carrier)
			if err := rooms.Seat(ctx, sand, e.srv.User("eve")[0]); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got := strings.Fields(seen("bob")); len(got) != 2 || !slices.Contains(got, "sand:1") {
				t.Errorf("bob sees %q", seen("bob"))
			}
			rooms.Post(sand, func(b *bout) { _ = b.Publish(map[string]string{"map": "sand", "rating": "100"}) })
			time.Sleep(time.Second)
			if got := strings.Fields(seen("ann")); len(got) != 2 {
				t.Errorf("ann sees %q", seen("ann"))
			}
			roomOf(e.srv.User("eve")[0]).Close(0, "")
			want("ice:0 ", "ice:0 ")
			if err := bob.Room("match").Unfollow(ctx); err != nil {
				t.Error(err)
			}
			_ = ann.Close()
			publish(t, rooms, "wood", 1)
			want("ice:0 ", "ice:0 ")
			if n := e.srv.Feeds(); n != 0 {
				t.Errorf("%d lists are followed", n)
			}
		}, listed)
	})
}

// seenLists keeps what a client was told last of the list that it follows.
type seenLists struct {
	mu   sync.Mutex
	last string
}

func (s *seenLists) take(list []client.RoomInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = strings.Join(mapsOf(list), " ")
}

func (s *seenLists) is(want string) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.last == want
	}
}

// TestAListIsRightAgainAfterAReset: what was told of it while the client was away is lost, and
// it is told anew.
func TestAListIsRightAgainAfterAReset(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
			publish(t, rooms, "ice", 1)
			ann := e.dial("ann", carrier)
			var seen seenLists
			if err := ann.Room("match").Follow(context.Background(), "rating>0", seen.take); err != nil {
				t.Fatal(err)
			}
			p := e.srv.User("ann")[0]
			ann.Pause()
			e.within(time.Second, "ann is away", func() bool { return !p.Attached() })
			publish(t, rooms, "sand", 2)
			publish(t, rooms, "none", 0)
			time.Sleep(time.Second)
			for i := range 3000 {
				_ = p.Push("flood", i)
			}
			ann.Hurry()
			e.within(5*time.Second, "ann was reset", func() bool { return ann.Stats().Resets == 1 })
			e.within(time.Second, "the list is told anew", seen.is("ice sand"))
			publish(t, rooms, "wood", 3)
			e.within(2*time.Second, "it is followed", seen.is("ice sand wood"))
		}, listed)
	})
}

// TestAListIsRightAgainOnAnotherServer: it is that server's from then on, empty where the
// type is not listed.
func TestAListIsRightAgainOnAnotherServer(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		for _, isListed := range []bool{true, false} {
			store := &framework.MemoryStore{}
			config := func(node uint16, address string) framework.Config {
				return framework.Config{Node: node, Address: address, Store: store, Secret: [32]byte{1}, Session: quick}
			}
			var here, there *bouts
			register := func(into **bouts, listed bool) func(*framework.Server) {
				return func(s *framework.Server) {
					*into = framework.AddRoomWith(s, "match", func(r *framework.Room, p boutParams) (*bout, error) { return &bout{r, p, &diary{}}, nil })
					if listed {
						(*into).Listed()
					}
				}
			}
			simulate(t, 1, memnet.Conditions{Delay: 5 * time.Millisecond}, config(1, "tcp://10.0.0.1:7778"), register(&here, true), func(a *env) {
				b := serve(t, a.net, "10.0.0.2", config(2, "tcp://10.0.0.2:7778"), register(&there, isListed))
				defer b.end()
				publish(t, here, "ice", 1)
				publish(t, there, "sand", 2)
				ann := a.dial("ann", carrier)
				var seen seenLists
				if err := ann.Room("match").Follow(context.Background(), "rating>0", seen.take); err != nil {
					t.Fatal(err)
				}
				a.within(time.Second, "ice is seen", seen.is("ice"))
				if err := a.srv.User("ann")[0].Move(b.addr(carrier)); err != nil {
					t.Fatal(err)
				}
				want, more := "", ""
				if isListed {
					want, more = "sand", "sand wood"
				}
				a.within(10*time.Second, "the other server's list is seen", func() bool { return len(b.srv.User("ann")) == 1 && seen.is(want)() })
				publish(t, there, "wood", 3)
				time.Sleep(2 * time.Second)
				if !seen.is(more)() {
					t.Errorf("ann sees %q, want %q", seen.last, more)
				}
				if st := ann.Stats(); st.Opens != 1 || a.srv.Feeds() != 0 {
					t.Errorf("%+v, %d lists are followed", st, a.srv.Feeds())
				}
			})
		}
	})
}
