// SPDX-License-Identifier: MIT

package transport

import (
	"math/rand/v2"
	"testing"
)

func TestConnectionIDsNameTheirLoopAndSlot(t *testing.T) {
	for _, loops := range []int{1, 2, 3, 4, 256} {
		for _, links := range []int{1, 100, 100_000, 1 << 30} {
			y := newIDLayout(loops, links)
			if y.genBits < 4 {
				t.Fatalf("%d loops, %d links: %d bits of generation", loops, links, y.genBits)
			}
			if links <= 1<<maxSlotBits && links >= 1<<y.slotBits {
				t.Errorf("%d links do not fit into %d bits", links, y.slotBits)
			}
			for range 100 {
				loop, slot, gen := rand.IntN(loops), rand.Uint32N(1<<y.slotBits), rand.Uint32N(1<<y.genBits)
				id := y.id(loop, slot, gen)
				if y.loop(id) != loop || y.slot(id) != slot || y.gen(id) != gen {
					t.Fatalf("%+v: %d, %d, %d became %d, %d, %d", y, loop, slot, gen, y.loop(id), y.slot(id), y.gen(id))
				}
			}
		}
	}
}

// find returns the link that id names.
func (s *slots[K]) find(id uint32) *K {
	if at := s.at(id); at != nil {
		return at.k
	}
	return nil
}

// TestSlots compares the table with a map.
func TestSlots(t *testing.T) {
	const links = 500
	var s slots[Link]
	s.init(newIDLayout(4, links), 2)
	live := map[uint32]*Link{}
	dead := map[uint32]int{} // by id: when it was released
	var order []uint32
	for step := range 50_000 {
		if rand.IntN(2) == 0 && len(order) < links {
			id, ok := s.take()
			if !ok {
				t.Fatalf("full with %d of %d", len(live), links)
			}
			if id == 0 || live[id] != nil {
				t.Fatalf("id %#x given away twice", id)
			}
			if at, was := dead[id]; was && step-at < 200 {
				t.Fatalf("id %#x given away again after %d steps", id, step-at)
			}
			k := &Link{}
			if s.find(id) != nil {
				t.Fatal("a reserved slot has a link")
			}
			s.at(id).k = k
			live[id] = k
			order = append(order, id)
		} else if len(order) > 0 {
			i := rand.IntN(len(order))
			id := order[i]
			order[i] = order[len(order)-1]
			order = order[:len(order)-1]
			s.release(id)
			s.release(id) // again changes nothing
			delete(live, id)
			dead[id] = step
		}
		if s.used != len(live) {
			t.Fatalf("%d in use, want %d", s.used, len(live))
		}
	}
	for id, k := range live {
		if s.find(id) != k {
			t.Errorf("id %#x is lost", id)
		}
		if s.find(id^1) != nil && live[id^1] == nil {
			t.Errorf("another generation of %#x is found", id)
		}
	}
	for id := range dead {
		if live[id] == nil && s.find(id) != nil {
			t.Errorf("id %#x lives after its release", id)
		}
	}
	if s.find(0) != nil || s.find(1<<32-1) != nil {
		t.Error("an id of no link names one")
	}
}

func TestSlotsRunOut(t *testing.T) {
	var s slots[Link]
	s.init(newIDLayout(1, 1), 0)
	var ids []uint32
	for {
		id, ok := s.take()
		if !ok {
			break
		}
		ids = append(ids, id)
	}
	if len(ids) != 255 {
		t.Errorf("%d slots, want 255", len(ids))
	}
	s.release(ids[7])
	if id, ok := s.take(); !ok || s.layout.slot(id) != s.layout.slot(ids[7]) || id == ids[7] {
		t.Errorf("%#x after %#x was released", id, ids[7])
	}
}
