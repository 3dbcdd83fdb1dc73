// SPDX-License-Identifier: MIT

package server

import (
	"hash/fnv"
	"os"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
)

// HallType is the type of rooms that players enter by keys, which are numbers from 0 on.
const HallType = "hall"

// hall is a room that players come to and leave. It counts, and tells its members.
type hall struct {
	*framework.Room
	state hallState
	page  *hallPage // nil: nothing is written down
}

// hallState is what a room has besides its members.
type hallState struct {
	Count uint64
	Sum   uint64 // follows from all that it has counted
}

// step counts one more.
func (s *hallState) step() {
	s.Count++
	h := fnv.New64a()
	_, _ = h.Write(strconv.AppendUint(strconv.AppendUint(nil, s.Sum, 36), s.Count, 10))
	s.Sum = h.Sum64()
}

// hallPage is what all servers know of a room. The server that has it writes it.
type hallPage struct {
	made    atomic.Uint64 // times that a server has made it
	kept    atomic.Uint64 // of these, with a state that was handed over
	differs atomic.Uint64 // of these, with another state than the last
	count   atomic.Uint64 // the last state
	sum     atomic.Uint64
}

// addHalls registers the type of room.
func (g *game) addHalls(srv *framework.Server, pages []hallPage) {
	if g.o.Beats == 0 { // they are there, and that is all
		framework.AddRoom(srv, HallType, func(r *framework.Room) *framework.Room { return r })
		return
	}
	halls := framework.AddRoom(srv, HallType, func(r *framework.Room) *hall {
		h := &hall{Room: r}
		if i, err := strconv.Atoi(r.Key()); err == nil && i >= 0 && i < len(pages) {
			h.page = &pages[i]
			h.page.made.Add(1)
		}
		return h
	})
	halls.Tick(time.Duration(float64(time.Second) / g.o.Beats))
}

// OnTick implements framework.TickHandler.
func (h *hall) OnTick(framework.Tick) {
	h.state.step()
	if h.page != nil {
		h.page.count.Store(h.state.Count)
		h.page.sum.Store(h.state.Sum)
	}
	_ = h.Broadcast("beat", load.Beat{Key: h.Key(), Count: h.state.Count})
}

// OnSave implements framework.SaveHandler.
func (h *hall) OnSave() ([]byte, error) { return codec.AppendBody(nil, h.state) }

// OnRestore implements framework.RestoreHandler.
func (h *hall) OnRestore(state []byte) error {
	if err := codec.DecodeBody(state, &h.state); err != nil || h.page == nil {
		return err
	}
	h.page.kept.Add(1)
	if h.state != (hallState{h.page.count.Load(), h.page.sum.Load()}) {
		h.page.differs.Add(1)
	}
	return nil
}

// Halls is the file with what all servers know of the rooms, as the process of the players
// sees it.
type Halls struct {
	Path  string
	pages []hallPage
}

// NewHalls makes the file for so many rooms.
func NewHalls(path string, rooms int) (*Halls, error) {
	if err := os.WriteFile(path, make([]byte, rooms*int(unsafe.Sizeof(hallPage{}))), 0o600); err != nil {
		return nil, err
	}
	pages, err := mapFile[hallPage](path)
	return &Halls{path, pages}, err
}

// HallAccount is what became of the rooms.
type HallAccount struct {
	Made    uint64 // times that a server has made one
	Anew    uint64 // of these after the first of each, without the state of the one before
	Differs uint64 // rooms that went on with another state than they had
}

// Account returns what became of the rooms.
func (h *Halls) Account() (a HallAccount) {
	for i := range h.pages {
		p := &h.pages[i]
		made := p.made.Load()
		a.Made += made
		a.Anew += max(made, 1) - 1 - min(p.kept.Load(), max(made, 1)-1)
		a.Differs += min(p.differs.Load(), 1)
	}
	return a
}
