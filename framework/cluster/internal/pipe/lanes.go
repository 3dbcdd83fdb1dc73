// SPDX-License-Identifier: MIT

package pipe

import (
	"container/heap"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

// laneHeap has the lane on top that is looked up first. It implements heap.Interface for
// push and pop.
type laneHeap []*lane

func (h *laneHeap) push(l *lane) { heap.Push(h, l) }
func (h *laneHeap) pop() *lane   { return heap.Pop(h).(*lane) }

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].due < h[j].due }

func (h laneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *laneHeap) Push(x any) {
	l := x.(*lane)
	l.index = len(*h)
	*h = append(*h, l)
}

// Pop implements heap.Interface.
func (h *laneHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	l.index = -1
	return l
}

// guesses is where users were last. A wrong one costs a message to a server that has no
// session of the user. The zero value knows none.
type guesses struct{ young, old map[string]core.Incarnation }

// maxGuesses bounds each of the two maps.
const maxGuesses = 1 << 15

func (g *guesses) get(user string) core.Incarnation {
	if at, ok := g.young[user]; ok {
		return at
	}
	return g.old[user]
}

func (g *guesses) put(user string, at core.Incarnation) {
	if len(g.young) >= maxGuesses {
		g.old, g.young = g.young, nil
	}
	if g.young == nil {
		g.young = map[string]core.Incarnation{}
	}
	g.young[user] = at
}

func (g *guesses) remove(user string) {
	delete(g.young, user)
	delete(g.old, user)
}
