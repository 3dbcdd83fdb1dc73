// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
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

// denied is how often clients were refused, by what is counted.
type denied struct{ hall, match, noRoute, notJoined uint64 }

func deniedBy(s *framework.Server) denied {
	st := s.Stats()
	return denied{st.Rooms["hall"].Denied, st.Rooms["match"].Denied, st.NoRoute, st.NotJoined}
}

// badRooms registers halls beside the matches, which are private and listed.
func badRooms(s *framework.Server, rooms *bouts, d *diary) {
	rooms.Private().Listed().Spectators(1)
	framework.OnRoomRequest(rooms, "play", func(*bout, *framework.Player, int) (int, error) { return 0, nil })
	halls := framework.AddRoom(s, "hall", func(r *framework.Room) *hall { return &hall{r, d} }).Tick(time.Second)
	framework.OnRoomRequest(halls, "size", func(h *hall, _ *framework.Player, _ int) (int, error) { return h.Len(), nil })
}

// TestBadWishesChangeNothing: each is refused with a code and counted, and all is as it was.
func TestBadWishesChangeNothing(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
			ctx := context.Background()
			key := open(t, rooms, boutParams{Map: "ice"})
			ann := e.dial("ann", carrier)
			if err := ann.Join(ctx, "hall", "1"); err != nil {
				t.Fatal(err)
			}
			match, hall, nowhere := ann.Room("match"), ann.Room("hall"), ann.Room("nowhere")
			none := func([]client.RoomInfo) {}
			list := func(r *client.Room, filter string) func() error {
				return func() error { _, _, err := r.List(ctx, filter); return err }
			}
			join := func(r *client.Room, key string) func() error {
				return func() error { _, err := r.Join(ctx, key); return err }
			}
			long := strings.Repeat("k", 60<<10)
			for _, bad := range []struct {
				what  string
				ask   func() error
				code  codec.ErrorCode
				count denied
			}{
				{"no such type", join(nowhere, "1"), codec.ErrorNoRoute, denied{noRoute: 1}},
				{"watch of no such type", func() error { return nowhere.Watch(ctx, "1") }, codec.ErrorNoRoute, denied{noRoute: 1}},
				{"leave of no such type", func() error { return nowhere.Leave(ctx) }, codec.ErrorNoRoute, denied{noRoute: 1}},
				{"follow of no such type", func() error { return nowhere.Follow(ctx, "", none) }, codec.ErrorNoRoute, denied{noRoute: 1}},
				{"a type of 60 KB", func() error { return ann.Join(ctx, long, "1") }, codec.ErrorNoRoute, denied{noRoute: 1}},
				{"a private one", join(match, key), codec.ErrorRefused, denied{match: 1}},
				{"leave of a private one", func() error { return match.Leave(ctx) }, codec.ErrorRefused, denied{match: 1}},
				{"watch of the room one is in", func() error { return hall.Watch(ctx, "1") }, codec.ErrorInRoom, denied{hall: 1}},
				{"watch of no such room", func() error { return match.Watch(ctx, "2") }, codec.ErrorRefused, denied{match: 1}},
				{"another one meanwhile", join(hall, "2"), codec.ErrorInRoom, denied{hall: 1}},
				{"a key of 60 KB", join(hall, long), codec.ErrorBadRequest, denied{hall: 1}},
				{"a watched key of 60 KB", func() error { return match.Watch(ctx, long) }, codec.ErrorBadRequest, denied{match: 1}},
				{"a key that can't be printed", join(hall, "a\x00b"), codec.ErrorBadRequest, denied{hall: 1}},
				{"a key that is no text", join(hall, "\xff"), codec.ErrorBadRequest, denied{hall: 1}},
				{"a list of what is not listed", list(hall, ""), codec.ErrorRefused, denied{hall: 1}},
				{"a filter that can't be read", list(match, "map="), codec.ErrorBadRequest, denied{match: 1}},
				{"a filter of 60 KB", list(match, long), codec.ErrorBadRequest, denied{match: 1}},
				{"a body that is no wish", func() error { return ann.Request(ctx, "room.join", 7, nil) }, codec.ErrorBadRequest, denied{}},
				{"a foreign seat", func() error { return ann.Request(ctx, "play", 0, nil) }, codec.ErrorNotJoined, denied{notJoined: 1}},
			} {
				before := deniedBy(e.srv)
				bad.count.hall += before.hall
				bad.count.match += before.match
				bad.count.noRoute += before.noRoute
				bad.count.notJoined += before.notJoined
				err := bad.ask()
				var refused *codec.Error
				if !errors.As(err, &refused) || refused.Code != bad.code || len(refused.Text) > 1024 {
					t.Errorf("%s: refused with %.200v, want code %d", bad.what, err, bad.code)
				}
				if got := deniedBy(e.srv); got != bad.count {
					t.Errorf("%s: counted %+v, want %+v", bad.what, got, bad.count)
				}
				if got := roomsOf(e); len(got) != 2 || !slices.Contains(got, "1:1") || !slices.Contains(got, key+":0") {
					t.Errorf("%s: the rooms are %q", bad.what, got)
				}
			}
			var n int
			if err := ann.Request(ctx, "size", 0, &n); err != nil || n != 1 || e.srv.Feeds() != 0 {
				t.Errorf("%d in the hall, %v; %d lists are followed", n, err, e.srv.Feeds())
			}
			wantDiary(t, d, "created ice", "ann joins")
		}, badRooms)
	})
}

// TestABusyFollowKeepsTheOldOne: there are as many lists as may be, and a player that asks
// for one more follows the one that it had. Its only list may give way to another.
func TestABusyFollowKeepsTheOldOne(t *testing.T) {
	boutServer(t, framework.Config{Rate: framework.Rate{Messages: 1e6, Burst: 1e6}}, func(e *env, d *diary, rooms *bouts) {
		ctx := context.Background()
		publish(t, rooms, "ice", 1)
		var news int
		var mu sync.Mutex
		seen := func([]client.RoomInfo) { mu.Lock(); news++; mu.Unlock() }
		var last *client.Client
		for i := range 64 {
			last = e.dial(fmt.Sprint("p", i), transport.TCP)
			if err := last.Room("match").Follow(ctx, fmt.Sprintf("rating>=0 rating!=%d", 100+i), seen); err != nil {
				t.Fatal(err)
			}
		}
		if err := last.Room("match").Follow(ctx, "map=ice", seen); err != nil { // instead of its own
			t.Fatal(err)
		}
		more := e.dial("ann", transport.TCP)
		if err := more.Room("match").Follow(ctx, "map=ice", seen); err != nil { // there is one
			t.Fatal(err)
		}
		wantCode(t, more.Room("match").Follow(ctx, "map=sand", seen), codec.ErrorBusy)
		if n := e.srv.Stats().Rooms["match"].Denied; n != 1 || e.srv.Feeds() != 64 {
			t.Errorf("%d are counted, and %d lists are followed", n, e.srv.Feeds())
		}
		mu.Lock()
		news = 0
		mu.Unlock()
		publish(t, rooms, "ice", 2)
		time.Sleep(2 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if news != 65 {
			t.Errorf("%d of 65 were told", news)
		}
	}, listed)
}

// TestAStormOfJoins: of one player's only one gets in, however many it sends at once, and of
// many players as many as there are seats. All others are refused with a code and counted.
func TestAStormOfJoins(t *testing.T) {
	storm := 1000
	if testing.Short() {
		storm = 200
	}
	all := func(n int, ask func(i int) error) map[codec.ErrorCode]int {
		var mu sync.Mutex
		var wg sync.WaitGroup
		codes := map[codec.ErrorCode]int{}
		for i := range n {
			wg.Go(func() {
				err := ask(i)
				var refused *codec.Error
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					codes[0]++
				case errors.As(err, &refused):
					codes[refused.Code]++
				default:
					t.Errorf("join %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		return codes
	}
	t.Run("of one player", func(t *testing.T) {
		hallServer(t, framework.Config{}, func(e *env, d *diary, rooms *framework.Rooms[*hall]) {
			ann := e.dial("ann", transport.TCP)
			codes := all(storm, func(i int) error { return ann.Join(context.Background(), "hall", fmt.Sprint(i)) })
			st := e.srv.Stats()
			if codes[0] != 1 || codes[codec.ErrorInRoom] != storm-1 || st.Rooms["hall"].Denied != uint64(storm-1) {
				t.Errorf("%v, %d counted", codes, st.Rooms["hall"].Denied)
			}
			if st.Rooms["hall"].Opened != 1 || d.halls.Load() != 1 {
				t.Errorf("%d rooms were made", d.halls.Load())
			}
			wantDiary(t, d, "ann joins")
		})
	})
	t.Run("of one player to a room that is slow", func(t *testing.T) {
		boutServer(t, framework.Config{}, func(e *env, d *diary, rooms *bouts) {
			ann := e.dial("ann", transport.TCP)
			codes := all(storm, func(int) error { return ann.Join(context.Background(), "match", "1") })
			// While OnJoin is to come some may wait for it with the first; then all are in.
			denied := e.srv.Stats().Rooms["match"].Denied
			if codes[0]+codes[codec.ErrorBusy] != storm || codes[0] < 32 || denied != uint64(codes[codec.ErrorBusy]) {
				t.Errorf("%v, %d counted", codes, denied)
			}
			wantDiary(t, d, "created ", "ann joins")
		}, func(_ *framework.Server, _ *bouts, d *diary) { d.slow.Store(int64(30 * time.Second)) })
	})
	t.Run("of many players", func(t *testing.T) {
		const seats = 50
		hallServer(t, framework.Config{}, func(e *env, d *diary, rooms *framework.Rooms[*hall]) {
			clients := make([]*client.Client, storm)
			for i := range clients {
				clients[i] = e.dial(fmt.Sprint("p", i), transport.TCP)
			}
			codes := all(storm, func(i int) error { return clients[i].Join(context.Background(), "hall", "1") })
			st := e.srv.Stats().Rooms["hall"]
			if codes[0] != seats || codes[codec.ErrorFull] != storm-seats || st.Denied != uint64(storm-seats) || st.Players != seats || st.Open != 1 {
				t.Errorf("%v, counted %+v", codes, st)
			}
		}, func(rooms *framework.Rooms[*hall]) { rooms.Seats(seats) })
	})
}
