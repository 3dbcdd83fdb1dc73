// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
)

// seated are clients, and what they are told of their rooms.
type seated struct {
	mu   sync.Mutex
	told map[string][]string // by user
}

// follow notes what a client is told of a type of room.
func (w *seated) follow(k *talker, kind string) {
	add := func(format string, args ...any) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told[k.user] = append(w.told[k.user], fmt.Sprintf(format, args...))
	}
	k.Room(kind).OnJoined(func(key string) { add("in %s", key) })
	k.Room(kind).OnLeft(func(key string, why client.Reason) { add("out of %s: %d", key, why.Code) })
}

func (w *seated) of(user string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.told[user])
}

// TestRoomsOfACrashedServer: when a server has crashed, its rooms are made anew, each once,
// and their members and spectators are in them again without a call of the app. A room for
// strangers is gone, and its members are told so.
func TestRoomsOfACrashedServer(t *testing.T) {
	set := func(rooms *framework.Rooms[*count]) { rooms.Spectators(2) }
	for _, carrier := range []string{"tcp", "plain-kcp"} {
		t.Run(carrier, func(t *testing.T) {
			playYard(t, 3, reopens, set, func(s *stack, y *yard) {
				var d deaths
				w := seated{told: map[string][]string{}}
				var all []*talker
				for i, key := range []string{"red", "red", "blue", "blue", "", "watch red"} {
					k := s.talker(&d, carrier, fmt.Sprint("p", i), 0)
					w.follow(k, "count")
					switch key {
					case "watch red":
						if err := k.Room("count").Watch(context.Background(), "red"); err != nil {
							t.Fatal(err)
						}
					default:
						s.enter(k.Client, key)
						_ = k.Send("add", 1)
					}
					all = append(all, k)
				}
				key, _ := all[4].Room("count").Key()
				time.Sleep(time.Second)
				d.kill(s.servers[0])
				for i, k := range all {
					name := []string{"red", "red", "blue", "blue", key, "red"}[i]
					want := fmt.Sprintf("[in %s in %s]", name, name)
					if i == 4 {
						want = fmt.Sprintf("[in %s out of %s: %d]", key, key, client.CodeRoomLost)
					}
					s.within(time.Minute, k.user+" is told", func() bool { return len(w.of(k.user)) == 2 })
					if got := fmt.Sprint(w.of(k.user)); got != want {
						t.Errorf("%s is told %s, want %s", k.user, got, want)
					}
					if st := k.Stats(); st.Opens != 1 || st.Resets != 1 {
						t.Errorf("%s: %+v", k.user, st)
					}
				}
				time.Sleep(time.Second)
				for _, k := range all[:4] { // in the room, with all others
					if got := fmt.Sprint(s.sums(k.Client)); got != "map[]" {
						t.Errorf("the room of %s has %s", k.user, got)
					}
				}
				if got := len(y.told("create red")) + len(y.told("create blue")); got != 4 || len(y.told("join red")) != 4 || len(y.told("watch")) != 2 {
					t.Errorf("%q", y.told(""))
				}
				for _, k := range all {
					if got := w.of(k.user); len(got) != 2 {
						t.Errorf("%s is told %q", k.user, got)
					}
				}
			})
		})
	}
}

// TestLeaveWhileTheRoomIsLost: a client whose app leaves while it comes back is not brought
// into the room again.
func TestLeaveWhileTheRoomIsLost(t *testing.T) {
	playYard(t, 2, reopens, nil, func(s *stack, y *yard) {
		var d deaths
		k := s.talker(&d, "tcp", "ann", 0)
		s.enter(k.Client, "red")
		time.Sleep(time.Second)
		d.kill(s.servers[0])
		s.within(time.Minute, "reopened", func() bool { return k.Stats().Resets == 1 })
		if err := k.Room("count").Leave(context.Background()); err != nil {
			t.Error(err) // it is sent behind what the client has asked
		}
		time.Sleep(time.Minute)
		if key, in := k.Room("count").Key(); in {
			t.Errorf("it is in %q", key)
		}
		if room := look(t, s.servers[1].Server, "?room=count/red").Room; room == nil || room.State != "none" {
			t.Errorf("the room is %+v", room)
		}
	})
}
