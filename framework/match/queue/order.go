// SPDX-License-Identifier: MIT

package queue

import (
	"cmp"
	"slices"
	"sort"
)

// entry is a ticket in an order.
type entry struct {
	key float64
	t   *Ticket
}

func (e entry) compare(o entry) int {
	return cmp.Or(cmp.Compare(e.key, o.key), cmp.Compare(e.t.number, o.t.number))
}

// order holds tickets sorted by a key, then by number: in blocks, so that one more moves
// a block's length at most.
type order struct {
	blocks [][]entry // none is empty
	n      int
}

// blockMax is the length at which a block is cut in two.
const blockMax = 256

// spot is a place between entries: before blocks[b][i].
type spot struct{ b, i int }

// find returns the place of the first entry that is not below e.
func (o *order) find(e entry) spot {
	b := sort.Search(len(o.blocks), func(b int) bool {
		block := o.blocks[b]
		return block[len(block)-1].compare(e) >= 0
	})
	if b == len(o.blocks) {
		return spot{b, 0}
	}
	i, _ := slices.BinarySearchFunc(o.blocks[b], e, entry.compare)
	return spot{b, i}
}

func (o *order) insert(e entry) {
	o.n++
	at := o.find(e)
	switch {
	case len(o.blocks) == 0:
		o.blocks = append(o.blocks, []entry{e})
		return
	case at.b == len(o.blocks): // above all
		at = spot{at.b - 1, len(o.blocks[at.b-1])}
	}
	block := slices.Insert(o.blocks[at.b], at.i, e)
	o.blocks[at.b] = block
	if len(block) == blockMax {
		half := slices.Clone(block[blockMax/2:])
		clear(block[blockMax/2:])
		o.blocks[at.b] = block[:blockMax/2]
		o.blocks = slices.Insert(o.blocks, at.b+1, half)
	}
}

// remove takes an entry out that is in.
func (o *order) remove(e entry) {
	at := o.find(e)
	o.n--
	o.blocks[at.b] = slices.Delete(o.blocks[at.b], at.i, at.i+1)
	if len(o.blocks[at.b]) == 0 {
		o.blocks = slices.Delete(o.blocks, at.b, at.b+1)
	}
}

// rank returns how many entries are below e.
func (o *order) rank(e entry) int {
	at := o.find(e)
	n := at.i
	for _, block := range o.blocks[:at.b] {
		n += len(block)
	}
	return n
}

// next returns the entry behind a place, and the place behind that.
func (o *order) next(at spot) (e entry, behind spot, ok bool) {
	if at.b >= len(o.blocks) {
		return entry{}, at, false
	}
	e = o.blocks[at.b][at.i]
	if at.i++; at.i == len(o.blocks[at.b]) {
		at = spot{at.b + 1, 0}
	}
	return e, at, true
}

// last returns the entry before a place, and the place before that.
func (o *order) last(at spot) (e entry, before spot, ok bool) {
	if at.i == 0 {
		if at.b == 0 {
			return entry{}, at, false
		}
		at = spot{at.b - 1, len(o.blocks[at.b-1])}
	}
	at.i--
	return o.blocks[at.b][at.i], at, true
}
