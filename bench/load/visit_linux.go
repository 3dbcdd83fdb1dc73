// SPDX-License-Identifier: MIT

package load

import (
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

// Players that go from room to room, and play on meanwhile. A room of another server takes the
// session there: the request goes up here, and its answer comes from there.

// visitIDs are the ids of requests for rooms. Those below count what is numbered.
const visitIDs = 1 << 40

// visit is where a player is, or wants to be.
type visit struct {
	kind, key string
	id        uint64        // of the request under way
	asked     time.Duration // when it wished to be in
	phase     visitPhase
	beat      uint64 // the last that the room has counted
	astray    bool   // it was told that it is in another room
	setBack   bool   // the room has counted what it had counted before
}

type visitPhase uint8

const (
	outside visitPhase = iota
	leaving
	entering
	inside
)

// Visits are what came of wishes for rooms.
type Visits struct {
	In      chart.Histogram // from asking for a room to being in
	Busy    int             // wishes that were put off by the server, and are over
	Refused int             // for another reason
}

// Visit sends player i into a room, out of the one that it is in. It reports false if the
// player has no link, or is on its way already.
func (f *Fleet) Visit(i int, kind, key string) bool {
	p := &f.players[i]
	v := &p.visit
	if p.state != isOpen || v.phase == leaving || v.phase == entering {
		return false
	}
	was := v.kind
	v.kind, v.key = kind, key
	f.clock()
	if v.phase == inside {
		v.phase = leaving
		f.wish(p, "room.leave", []string{was})
	} else {
		f.enter(p)
	}
	f.flush(p)
	return true
}

func (f *Fleet) enter(p *player) {
	p.visit.phase, p.visit.asked = entering, f.now
	f.wish(p, "room.join", []string{p.visit.kind, p.visit.key})
}

// wish sends one of a client's built-in requests.
func (f *Fleet) wish(p *player, route string, payload []string) {
	p.visit.id++
	body, err := codec.AppendBody(nil, payload)
	if err == nil {
		err = p.session.Send(codec.Request, codec.AppendRequest(nil, visitIDs+p.visit.id, codec.NamedRoute(route), body))
	}
	if err != nil {
		p.visit.phase = outside
		f.rooms.Refused++
		f.complain(p, err)
	}
}

// visited takes the answer to a wish, if it is one.
func (f *Fleet) visited(p *player, pk codec.Packet) bool {
	var id uint64
	var err error
	var refused *codec.Error
	switch pk.Kind {
	case codec.Response:
		id, _, err = codec.ParseResponse(pk.Body)
	case codec.Failure:
		refused = new(codec.Error)
		var text []byte
		id, refused.Code, text, err = codec.ParseFailure(pk.Body)
		refused.Text = string(text)
	}
	if err != nil || id <= visitIDs {
		return false
	}
	switch v := &p.visit; {
	case id != visitIDs+v.id || v.phase != leaving && v.phase != entering:
		f.wrong(p, fmt.Errorf("an answer to wish %d of %d", id-visitIDs, v.id))
	case refused != nil:
		f.denied(p, refused)
	case v.phase == leaving:
		f.enter(p)
	default:
		v.phase = inside
		f.rooms.In.Add(f.now - v.asked)
	}
	return true
}

func (f *Fleet) denied(p *player, why *codec.Error) {
	p.visit.phase = outside
	if why.Code == codec.ErrorBusy {
		f.rooms.Busy++
		return
	}
	f.rooms.Refused++
	f.complain(p, fmt.Errorf("room %s/%s: %w", p.visit.kind, p.visit.key, why))
}

// isWish reports whether a packet is a wish.
func isWish(pk codec.Packet) bool {
	if pk.Kind != codec.Request {
		return false
	}
	id, _, _, err := codec.ParseRequest(pk.Body)
	return err == nil && id > visitIDs
}

// Beat is what a room tells its members: it counts, and never the same twice.
type Beat struct {
	Key   string
	Count uint64
}

// told takes what the server tells of rooms: codec/SPEC 6.4, and beats.
func (f *Fleet) told(p *player, name string, payload []byte) {
	v := &p.visit
	if name == "beat" {
		var b Beat
		if err := codec.DecodeBody(payload, &b); err != nil {
			f.wrong(p, err)
			return
		}
		f.beats++
		v.astray = v.astray || b.Key != v.key
		v.setBack = v.setBack || b.Count <= v.beat
		v.beat = b.Count
		return
	}
	var at struct{ Type, Key string }
	if codec.DecodeBody(payload, &at) != nil {
		return // of another form: a list of rooms
	}
	switch {
	case name == "room.joined" && at.Key != v.key:
		v.astray = true
	case name == "room.joined" && v.phase == outside:
		v.phase = inside
	case name == "room.left" && v.phase == inside:
		v.phase = outside
	}
}

// Members is what became of the players of rooms.
type Members struct {
	Outside int    // in no room at present
	Astray  int    // that were in another room than the one they had wished for
	SetBack int    // whose room has counted something again
	Beats   uint64 // that have arrived
}

// Members returns what became of the players of rooms.
func (f *Fleet) Members() Members {
	m := Members{Beats: f.beats}
	for i := range f.players {
		v := &f.players[i].visit
		if v.phase != inside {
			m.Outside++
		}
		if v.astray {
			m.Astray++
		}
		if v.setBack {
			m.SetBack++
		}
	}
	return m
}

// forget takes note that a stream has begun anew: what came of a wish may be lost with it.
func (p *player) forget() {
	if p.visit.phase == leaving || p.visit.phase == entering {
		p.visit.phase = outside
	}
}

// TakeVisits returns what came of the wishes since the last call.
func (f *Fleet) TakeVisits() (v Visits) {
	v, f.rooms = f.rooms, Visits{}
	return v
}

// Entering returns how many players are on their way into a room.
func (f *Fleet) Entering() (n int) {
	for i := range f.players {
		if phase := f.players[i].visit.phase; phase == leaving || phase == entering {
			n++
		}
	}
	return n
}
