// SPDX-License-Identifier: MIT

package session

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// at is what a test puts on a wheel.
type at struct {
	h     Handle
	due   time.Duration
	seen  time.Duration // of the last visit, -1 before
	sets  int
	alive bool
}

// TestWheelAgainstModel plays random operations on a wheel and on a list.
func TestWheelAgainstModel(t *testing.T) {
	const tick = 10 * time.Millisecond
	ops := 100_000
	if testing.Short() {
		ops = 10_000
	}
	rng := rand.New(rand.NewPCG(1, 2))
	w := NewWheel[*at](tick)
	var all []*at
	now := time.Duration(0)
	// From now to far beyond one revolution of 512 ticks, and now and then never.
	deadline := func() time.Duration {
		switch rng.IntN(10) {
		case 0:
			return Never
		case 1:
			return now - time.Duration(rng.Int64N(int64(time.Second)))
		case 2:
			return now + time.Duration(rng.Int64N(int64(5*time.Minute)))
		}
		return now + time.Duration(rng.Int64N(int64(3*time.Second)))
	}
	add := func() {
		e := &at{due: deadline(), seen: -1, alive: true}
		e.h = w.Add(e, e.due)
		e.due = max(e.due, now)
		all = append(all, e)
	}
	set := func(e *at) {
		e.due = deadline()
		e.sets++
		w.Set(e.h, e.due)
		e.due = max(e.due, now)
	}
	remove := func(e *at) {
		w.Remove(e.h)
		e.alive = false
	}
	pick := func() *at {
		for len(all) > 0 {
			i := rng.IntN(len(all))
			if all[i].alive {
				return all[i]
			}
			all[i] = all[len(all)-1]
			all = all[:len(all)-1]
		}
		return nil
	}
	visit := func(e *at, late time.Duration) time.Duration {
		if !e.alive {
			t.Fatal("a removed entry was visited")
		}
		if now < e.due {
			t.Fatalf("visited %v early", e.due-now)
		}
		if e.seen == now {
			t.Fatal("visited twice in one Advance")
		}
		e.seen = now
		sets := e.sets
		if rng.IntN(4) == 0 {
			if other := pick(); other != nil {
				switch rng.IntN(3) {
				case 0:
					set(other)
				case 1:
					remove(other)
				case 2:
					add()
				}
			}
		}
		if !e.alive || e.sets != sets {
			return now // ignored
		}
		e.due = deadline()
		next := e.due
		e.due = max(e.due, now)
		return next
	}
	for range ops {
		switch n := rng.IntN(10); {
		case n < 3 && w.Len() < 120:
			add()
		case n < 5:
			if e := pick(); e != nil {
				set(e)
			}
		case n < 6:
			if e := pick(); e != nil {
				remove(e)
			}
		default:
			next := w.Next()
			switch rng.IntN(12) {
			case 0:
				now += time.Duration(rng.Int64N(int64(20 * time.Second))) // more than a revolution
			case 1:
				now += tick * wheelSlots
			default:
				now += time.Duration(rng.Int64N(int64(30 * time.Millisecond)))
			}
			before := map[*at]time.Duration{}
			first := Never
			for _, e := range all {
				if e.alive {
					before[e] = e.due
					if e.due != Never {
						first = min(first, (e.due+tick-1)/tick*tick)
					}
				}
			}
			if next > first && next > now {
				t.Fatalf("Next says %v, an entry is due at %v", next, first)
			}
			w.Advance(now, visit)
			live := 0
			for _, e := range all {
				if !e.alive {
					continue
				}
				live++
				if due, ok := before[e]; ok && due != Never && due+tick <= now && e.seen != now && e.due == due {
					t.Fatalf("due at %v, at %v still not visited", due, now)
				}
			}
			if live != w.Len() {
				t.Fatalf("%d entries, Len says %d", live, w.Len())
			}
		}
	}
	for e := pick(); e != nil; e = pick() {
		remove(e)
	}
	if w.Len() != 0 || w.Next() != Never {
		t.Errorf("%d entries left, next at %v", w.Len(), w.Next())
	}
	for i, used := range w.used {
		if used != 0 {
			t.Errorf("word %d of the empty wheel is %x", i, used)
		}
	}
}

// Whoever sleeps until Next meets every entry at its tick.
func TestWheelNext(t *testing.T) {
	const tick = 250 * time.Millisecond
	for _, due := range []time.Duration{0, 1, tick - 1, tick, tick + 1, 511 * tick, 512 * tick, 513 * tick, 2000*tick + 7, time.Hour} {
		for _, start := range []time.Duration{0, 100 * tick, 511 * tick, 512*tick + 3} {
			w := NewWheel[int](tick)
			w.Advance(start, nil)
			w.Add(1, start+due)
			visited := Never
			wakes := 0
			for now := start; visited == Never; {
				next := w.Next()
				if next <= now && wakes > 0 {
					t.Fatalf("due %v: Next stays at %v", due, next)
				}
				now = max(now, next)
				wakes++
				w.Advance(now, func(_ int, late time.Duration) time.Duration {
					if visited = now; late != 0 {
						t.Errorf("due %v: %v late when on time", due, late)
					}
					return Never
				})
			}
			if early, late := start+due-visited, visited-start-due; early > 0 || late > tick {
				t.Errorf("due %v from %v: visited at %v", due, start, visited)
			}
			if most := int(due/(wheelSlots*tick)) + 2; wakes > most {
				t.Errorf("due %v: woke %d times, more than %d", due, wakes, most)
			}
		}
	}
}

// What a visit that comes late is told.
func TestWheelLate(t *testing.T) {
	const tick = 250 * time.Millisecond
	w := NewWheel[string](tick)
	w.Add("first", 10*tick)
	w.Add("last", 250*tick)
	w.Add("after", 1000*tick)
	seen := map[string]time.Duration{}
	w.Advance(260*tick, func(v string, late time.Duration) time.Duration {
		seen[v] = late
		return Never
	})
	// The last one's deadline was shortly before the process woke up, but it
	// stood still all the same.
	if len(seen) != 2 || seen["first"] != 250*tick || seen["last"] != 250*tick {
		t.Errorf("%v", seen)
	}
}

func TestWheelNever(t *testing.T) {
	w := NewWheel[int](time.Millisecond)
	h := w.Add(1, Never)
	w.Add(2, time.Duration(math.MaxInt64)-1)
	for now := time.Duration(0); now < 5*time.Second; now += 100 * time.Millisecond {
		w.Advance(now, func(v int, _ time.Duration) time.Duration {
			t.Fatalf("%d visited at %v", v, now)
			return Never
		})
	}
	w.Set(h, Never)
	w.Remove(h)
	w.Advance(-1, func(int, time.Duration) time.Duration { t.Fatal("in the past"); return 0 })
	if w.Len() != 1 {
		t.Errorf("%d entries", w.Len())
	}
}

// 2^32 ticks of a millisecond are 50 days.
func TestWheelRunsForYears(t *testing.T) {
	const tick = time.Millisecond
	w := NewWheel[int](tick)
	visits := 0
	visit := func(int, time.Duration) time.Duration {
		visits++
		return Never
	}
	for now := time.Duration(0); now < 1000*24*time.Hour; now += 10 * 24 * time.Hour {
		w.Advance(now, visit)
		h := w.Add(1, now+3*tick)
		if w.Advance(now+2*tick, visit); visits != 0 || w.Next() != now+3*tick {
			t.Fatalf("after %v: %d visits, the next at %v", now, visits, w.Next()-now)
		}
		if w.Advance(now+4*tick, visit); visits != 1 || w.Next() < now+4*tick {
			t.Fatalf("after %v: %d visits, the next at %v", now, visits, w.Next()-now)
		}
		w.Remove(h)
		visits = 0
	}
}

// The slot under visit may be added to and emptied by the visit.
func TestWheelVisitTouchesItsOwnSlot(t *testing.T) {
	w := NewWheel[int](1)
	var handles [10]Handle
	for i := range handles {
		handles[i] = w.Add(i, 5)
	}
	visits := 0
	w.Advance(5, func(v int, _ time.Duration) time.Duration {
		visits++
		if visits == 1 {
			for i, h := range handles {
				if i != v {
					w.Remove(h)
				}
			}
			w.Add(100, 5)             // as soon as possible: in the next tick
			w.Add(101, 5+wheelSlots)  // the same slot, a revolution later
			w.Set(handles[v], 6)      // itself, too
			return 5 + 3*wheelSlots*1 // which this does not undo
		}
		t.Errorf("%d visited", v)
		return Never
	})
	var order []int
	for now := time.Duration(6); w.Len() > 0 && now < 2000; now++ {
		w.Advance(now, func(v int, _ time.Duration) time.Duration {
			order = append(order, v, int(now))
			return Never
		})
	}
	if len(order) != 6 || order[1] != 6 || order[3] != 6 || order[4] != 101 || order[5] != 5+wheelSlots {
		t.Errorf("%v", order)
	}
}

func BenchmarkWheel(b *testing.B) {
	b.ReportAllocs()
	w := NewWheel[int](time.Millisecond)
	h := make([]Handle, 10_000)
	for i := range h {
		h[i] = w.Add(i, time.Duration(i)*time.Millisecond)
	}
	now := time.Duration(0)
	for i := 0; b.Loop(); i++ {
		w.Set(h[i%len(h)], now+time.Duration(i%5000)*time.Millisecond)
		if i%10 == 0 {
			now += 100 * time.Microsecond
			w.Advance(now, func(int, time.Duration) time.Duration { return now + time.Second })
		}
	}
}
