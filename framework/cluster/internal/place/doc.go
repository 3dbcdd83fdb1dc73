// SPDX-License-Identifier: MIT

// Package place decides for package cluster where a keyed room is: at one server, or at
// none. As package core it knows no clock, goroutine, lock or network: `now` is handed in,
// as is what came of the last action, and the next action goes out. simulation_test.go
// plays it in virtual time.
//
// "Rooms" in framework/cluster/SPEC.md says why the rules are as they are.
package place

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

// maxTypeShown is how many bytes of a type's name a directory's key begins with.
const maxTypeShown = 32

// Name is the key of the directory that a room's entry stands under: the type, for people,
// and what follows from type and key alone.
func Name(typ, key string) string {
	shown := []byte(typ[:min(len(typ), maxTypeShown)])
	for i, c := range shown {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			shown[i] = '-'
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s%s", len(typ), typ, key))
	return string(shown) + "." + hex.EncodeToString(sum[:16])
}

// Load is how much a server has to do. It is a hint: it may be late.
type Load struct {
	Node     core.Incarnation
	Players  int
	Capacity int // for players; 0: not known
}

func (l Load) full() bool { return l.Capacity > 0 && l.Players >= l.Capacity }

// less reports that l has less to do than other, each by its capacity.
func (l Load) less(other Load) bool {
	return l.Players*max(other.Capacity, 1) < other.Players*max(l.Capacity, 1)
}

// Choose returns where a room shall be that is nowhere: here, where the player is, if this
// server may have more players; else at the better of two others that are drawn. If none
// may have more it is here all the same. here.Node is zero if this server lets its players
// go: then it is at another one, whatever that has to do. The result is zero if there is no
// server for it. draw returns a number below n.
func Choose(here Load, others []Load, draw func(n int) int) core.Incarnation {
	if here.Node != (core.Incarnation{}) && !here.full() {
		return here.Node
	}
	var free []Load
	for _, l := range others {
		if !l.full() {
			free = append(free, l)
		}
	}
	if len(free) == 0 && here.Node == (core.Incarnation{}) {
		free = others
	}
	if len(free) == 0 {
		return here.Node
	}
	i := draw(len(free))
	best := free[i]
	if len(free) > 1 {
		if other := free[(i+1+draw(len(free)-1))%len(free)]; other.less(best) {
			best = other
		}
	}
	return best.Node
}
