// SPDX-License-Identifier: MIT

package seats

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// model is a room as a reader of the documentation sees it.
type model struct {
	room           *Room[int]
	key            string
	taken, watched int
	stranger, shut bool
	over           bool
	idle           int // when it became empty, 0 if it is in use
}

// world is all rooms of a type by the model, in the order they were made.
type world struct {
	t      *testing.T
	plan   *Plan[int]
	all    []*model
	moment int
	ending bool
	want   Counts
	n      int
}

func (w *world) open() (list []*model) {
	for _, m := range w.all {
		if !m.over {
			list = append(list, m)
		}
	}
	return list
}

func (w *world) named(key string) *model {
	for _, m := range w.open() {
		if m.key == key {
			return m
		}
	}
	return nil
}

// fullest is the room that a stranger gets into.
func (w *world) fullest(not *model) (best *model) {
	for _, m := range w.open() {
		free := w.plan.Seats == 0 || m.taken < w.plan.Seats
		if m.stranger && !m.shut && free && m != not &&
			(best == nil || m.taken > best.taken || m.taken == best.taken && m.key < best.key) {
			best = m
		}
	}
	return best
}

func (w *world) end(m *model) {
	if again := m.room.End(); again == m.over {
		w.t.Fatalf("End of a room that has ended %v returned %v", m.over, again)
	}
	m.over, m.idle = true, 0
}

// makeRoom makes a room if there may be one more.
func (w *world) makeRoom(key string) *model {
	open := w.open()
	evict, ok := w.plan.MayMake()
	if len(open) >= w.plan.Rooms {
		var longest *model
		for _, m := range open {
			if m.idle > 0 && (longest == nil || m.idle < longest.idle) {
				longest = m
			}
		}
		if longest == nil {
			w.want.Refused++
			if ok {
				w.t.Fatal("one room more than may be")
			}
			return nil
		}
		w.want.Evicted++
		if !ok || evict != longest.room {
			w.t.Fatal("another room than the one that has been empty for longest ends")
		}
		w.end(longest)
	} else if !ok || evict != nil {
		w.t.Fatalf("%d rooms of %d and no place", len(open), w.plan.Rooms)
	}
	w.want.Opened++
	m := &model{room: w.plan.Make(key), stranger: key == ""}
	m.key = m.room.Key
	if key != "" && m.key != key || m.key == "" {
		w.t.Fatalf("made room %q for key %q", m.key, key)
	}
	w.all = append(w.all, m)
	return m
}

func (w *world) sit(m *model, n int) {
	want := Granted
	switch {
	case m.shut || m.over:
		want = Closed
	case w.plan.Seats > 0 && m.taken+n > w.plan.Seats:
		want = Full
	case n > 0:
		m.taken, m.idle = m.taken+n, 0
	}
	if got := m.room.Sit(n); got != want {
		w.t.Fatalf("%d seats in a room with %d of %d taken: %d, want %d", n, m.taken, w.plan.Seats, got, want)
	}
}

func (w *world) leave(m *model) {
	m.taken--
	want := Lingers
	if m.taken > 0 {
		want = GoesOn
	} else if w.plan.Linger == 0 || w.ending || m.over {
		want = Ends
	}
	if got := m.room.Leave(); got != want {
		w.t.Fatalf("the last but %d left: %d, want %d", m.taken, got, want)
	}
	switch {
	case want == Ends && !m.over:
		w.end(m)
	case want == Lingers:
		w.moment++
		m.idle = w.moment
		m.room.Idle()
	}
}

func (w *world) watch(m *model) {
	var room *Room[int]
	want := Granted
	if m != nil {
		room = m.room
	}
	switch {
	case w.plan.Spectators == 0:
		want = Unwatchable
	case m == nil || m.over:
		want = NoRoom
	case m.watched >= w.plan.Spectators:
		want = TooManyWatch
	default:
		m.watched++
	}
	if got := w.plan.Watch(room); got != want {
		w.t.Fatalf("watch: %d, want %d", got, want)
	}
}

func (w *world) check() {
	open := w.open()
	if w.plan.Len() != len(open) || w.plan.Counts() != w.want || w.plan.Len() > w.plan.Rooms {
		w.t.Fatalf("%d rooms and %+v, want %d and %+v", w.plan.Len(), w.plan.Counts(), len(open), w.want)
	}
	visited := 0
	for r := range w.plan.All() {
		visited++
		if !slices.ContainsFunc(open, func(m *model) bool { return m.room == r }) {
			w.t.Fatal("All visits a room that is no more")
		}
	}
	if visited != len(open) {
		w.t.Fatalf("All visits %d of %d rooms", visited, len(open))
	}
	for _, m := range w.all {
		if m.room.Taken() != m.taken || m.room.Watched() != m.watched || m.room.over != m.over || m.room.Shut() != m.shut ||
			m.room.Deserted() != (m.over && m.taken+m.watched == 0) {
			w.t.Fatalf("a room is %+v, want %+v", m.room, m)
		}
		if at := w.plan.Get(m.key); !m.over && at != m.room {
			w.t.Fatalf("key %q finds another room", m.key)
		}
	}
	var want []*Room[int]
	if best := w.fullest(nil); best != nil {
		want = append(want, best.room)
		if next := w.fullest(best); next != nil {
			want = append(want, next.room)
		}
	}
	if got := w.plan.Fullest(2); len(got) != len(want) || len(want) > 0 && got[0] != want[0] || len(want) > 1 && (got[1].Taken() != want[1].Taken() || got[1] == got[0]) {
		w.t.Fatalf("the fullest are %v, want %v", got, want)
	}
	if best := w.fullest(nil); best == nil && w.plan.Find("", nil) != nil || best != nil && w.plan.Find("", nil) != best.room {
		w.t.Fatal("a stranger gets into another room")
	}
}

// step does one thing that may happen.
func (w *world) step(rng *rand.Rand) {
	keys := []string{"", "", "a", "b", "1", "2"}
	pick := func(ok func(m *model) bool) *model {
		var list []*model
		for _, m := range w.all {
			if ok(m) {
				list = append(list, m)
			}
		}
		if len(list) == 0 {
			return nil
		}
		return list[rng.IntN(len(list))]
	}
	switch key := keys[rng.IntN(len(keys))]; rng.IntN(12) {
	case 0, 1, 2: // a player joins, or moves there from another room
		from := pick(func(m *model) bool { return !m.over && m.taken > 0 && rng.IntN(2) == 0 })
		var not *Room[int]
		if from != nil {
			not = from.room
		}
		at := w.named(key)
		if key == "" {
			at = w.fullest(from)
		}
		if got := w.plan.Find(key, not); at == nil && got != nil || at != nil && got != at.room {
			w.t.Fatalf("key %q finds another room", key)
		}
		if at == nil {
			at = w.makeRoom(key)
		}
		if at != nil {
			w.sit(at, 1)
		}
	case 3: // a party
		if at := w.named(key); at != nil {
			w.sit(at, rng.IntN(4))
		}
	case 4:
		w.watch(w.named(key))
	case 5, 6, 7:
		if m := pick(func(m *model) bool { return m.taken > 0 }); m != nil {
			w.leave(m)
		}
	case 8:
		if m := pick(func(m *model) bool { return m.watched > 0 }); m != nil {
			m.watched--
			m.room.Unwatch()
		}
	case 9:
		if m := pick(func(m *model) bool { return !m.over }); m != nil {
			m.shut = rng.IntN(3) == 0
			m.room.SetOpen(!m.shut)
		}
	case 10:
		if m := pick(func(*model) bool { return true }); m != nil && rng.IntN(3) == 0 {
			w.end(m)
		}
	case 11: // the game opens one
		if m := w.makeRoom(fmt.Sprint("secret", w.n)); m != nil {
			w.moment++
			m.idle = w.moment
			m.room.Idle()
		}
	}
}

// TestSeats plays thousands of players against the model, with each kind of limit.
func TestSeats(t *testing.T) {
	for i, limits := range []Limits{
		{Seats: 2, Rooms: 100},
		{Seats: 3, Spectators: 2, Rooms: 4, Linger: time.Minute},
		{Spectators: 1, Rooms: 3, Linger: -1},
		{Seats: 1, Rooms: 2, Linger: time.Minute},
	} {
		t.Run(fmt.Sprintf("%+v", limits), func(t *testing.T) {
			for seed := range uint64(20) {
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				w := &world{t: t, plan: &Plan[int]{Limits: limits}}
				for w.n = range 1500 {
					if w.n == 1200 {
						w.ending = true
						w.plan.Ending()
					}
					w.step(rng)
					w.check()
					w.all = slices.DeleteFunc(w.all, func(m *model) bool { return m.room.Deserted() })
				}
				if !w.plan.IsEnding() || w.want.Opened < 20 {
					t.Errorf("%d rooms were made", w.want.Opened)
				}
			}
		})
	}
}

// TestNoSeatInNoRoom: the caller need not ask first.
func TestNoSeatInNoRoom(t *testing.T) {
	p := &Plan[int]{Limits: Limits{Rooms: 1, Spectators: 1}}
	if why := p.Find("", nil).Sit(1); why != NoRoom {
		t.Errorf("sit: %d", why)
	}
	if why := p.Watch(p.Get("a")); why != NoRoom {
		t.Errorf("watch: %d", why)
	}
}
