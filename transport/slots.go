// SPDX-License-Identifier: MIT

package transport

import (
	"math/bits"
	"math/rand/v2"
)

// maxSlotBits bounds the sealed links of one loop to a million: with 256 loops
// four bits are left for the generation.
const maxSlotBits = 20

// idLayout says how the 32 bits of a connection id are used: SPEC 6.2. From
// the highest: the loop, the slot in the loop's table, and the generation, so
// that an id is not given away twice in a while. Immutable.
type idLayout struct{ loopBits, slotBits, genBits uint8 }

func newIDLayout(loops, links int) idLayout {
	y := idLayout{loopBits: uint8(bits.Len(uint(loops - 1)))}
	y.slotBits = uint8(min(max(bits.Len(uint(links)), 8), maxSlotBits))
	y.genBits = 32 - y.loopBits - y.slotBits
	return y
}

func (y idLayout) id(loop int, slot, gen uint32) uint32 {
	return uint32(loop)<<(32-y.loopBits) | slot<<y.genBits | gen
}

func (y idLayout) loop(id uint32) int    { return int(uint64(id) >> (32 - y.loopBits)) }
func (y idLayout) slot(id uint32) uint32 { return id << y.loopBits >> (y.loopBits + y.genBits) }
func (y idLayout) gen(id uint32) uint32  { return id & (1<<y.genBits - 1) }

// slots are the sealed links of a loop, by connection id: no hash and no map of
// addresses, so an id is right or it is not. Owned by the loop.
type slots[K any] struct {
	layout idLayout
	loop   int
	table  []slot[K]
	free   int32 // the slot that has been free for the longest time, 0 if none is
	last   int32 // the one that became free last
	used   int
}

// slot is a place for a link. Slot 0 is never given away, so that 0 is no id.
type slot[K any] struct {
	k    *K
	gen  uint32 // of the id that names the slot now
	next int32  // in the list of free slots, or taken
}

// taken is slot.next of one that is not free.
const taken = -1

func (s *slots[K]) init(layout idLayout, loop int) {
	*s = slots[K]{layout: layout, loop: loop, table: make([]slot[K], 1)}
}

// take reserves a slot and returns the id that names it. ok is false when all
// of them are taken.
func (s *slots[K]) take() (id uint32, ok bool) {
	i := s.free
	switch {
	case i != 0 && (s.last != i || len(s.table) == 1<<s.layout.slotBits):
		if s.free = s.table[i].next; s.free == 0 {
			s.last = 0
		}
	case len(s.table) < 1<<s.layout.slotBits:
		i = int32(len(s.table))
		// Another start after each start of the server: an id of the one
		// before is unknown, which its owner is told.
		s.table = append(s.table, slot[K]{gen: rand.Uint32()})
	default:
		return 0, false
	}
	at := &s.table[i]
	at.gen = (at.gen + 1) & (1<<s.layout.genBits - 1)
	at.next = taken
	s.used++
	return s.layout.id(s.loop, uint32(i), at.gen), true
}

// at returns the slot that id names, nil if it names none now.
func (s *slots[K]) at(id uint32) *slot[K] {
	i := s.layout.slot(id)
	if i >= uint32(len(s.table)) {
		return nil
	}
	at := &s.table[i]
	if at.next != taken || at.gen != s.layout.gen(id) {
		return nil
	}
	return at
}

// release frees the slot of id. It is given away again after all others that
// are free by now.
func (s *slots[K]) release(id uint32) {
	at := s.at(id)
	if at == nil {
		return
	}
	i := int32(s.layout.slot(id))
	at.k, at.next = nil, 0
	if s.free == 0 {
		s.free = i
	} else {
		s.table[s.last].next = i
	}
	s.last = i
	s.used--
}
