// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
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
			for _, bad := range []map[string]string{{"": "x"}, {"a b": "x"}, {"a=": "x"}, {"a": "\n"}, {"a": strings.Repeat("x", 513)}} {
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
