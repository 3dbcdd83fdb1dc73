// SPDX-License-Identifier: MIT

package framework

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// Info is a snapshot of a player for logs and inspection.
type Info struct {
	ID          ID             `json:"id"`
	User        string         `json:"user"`
	State       string         `json:"state"` // attached or detached
	Carrier     string         `json:"carrier,omitempty"`
	Addr        netip.AddrPort `json:"address,omitzero"`
	Loop        int            `json:"loop"`
	RTT         float64        `json:"rtt_ms"`
	Silent      float64        `json:"silent_s"` // since the link brought something
	Queued      int            `json:"queued"`   // sent and not acknowledged
	Bytes       int            `json:"queued_bytes"`
	Dropped     uint32         `json:"dropped"` // messages to the player, see Delivery
	Inbox       int            `json:"inbox"`   // received and not yet handled
	Holding     bool           `json:"holding"` // the client was asked to wait
	Resumes     uint32         `json:"resumes"`
	Age         float64        `json:"age_s"`
	Room        string         `json:"room,omitempty"` // type/key, several with blanks between
	LinkIn      uint64         `json:"link_bytes_in"`
	LinkOut     uint64         `json:"link_bytes_out"`
	Retransmits uint64         `json:"link_retransmits"`
}

// isIn reports whether one of the rooms is that one, or of that type.
func (in *Info) isIn(room string) bool {
	all := " " + in.Room + " "
	return strings.Contains(all, " "+room+" ") || strings.Contains(all, " "+room+"/")
}

// infoOnLoop is called on the owning loop.
func (p *Player) infoOnLoop(l *loop) Info {
	now := l.t.Now()
	in := Info{
		ID: p.s.ID(), User: p.user, State: p.s.State().String(), Loop: l.t.Index(),
		Resumes: p.resumes, Age: (now - p.s.OpenedAt()).Seconds(),
	}
	in.Queued, in.Bytes = p.s.Queued()
	in.Dropped = p.s.Dropped()
	if k := p.link; k != nil {
		st := k.Stats()
		in.Carrier, in.Addr, in.Silent = k.Carrier().String(), k.RemoteAddr(), (now - k.LastReceive()).Seconds()
		in.LinkIn, in.LinkOut, in.Retransmits = st.BytesIn, st.BytesOut, st.Retransmits
	}
	in.RTT = float64(p.rttOnLoop().Microseconds()) / 1000
	p.mu.Lock()
	in.Inbox, in.Holding = p.in.Len(), p.in.Holding()
	var names []string
	for _, r := range p.seats.rooms() {
		names = append(names, r.name())
	}
	in.Room = strings.Join(names, " ")
	p.mu.Unlock()
	return in
}

// Inspect returns at most limit players for which keep returns true. It asks
// every loop in turn and must not be called on one.
func (s *Server) Inspect(limit int, keep func(*Info) bool) []Info {
	return s.inspect(s.players(), limit, keep)
}

func (s *Server) inspect(players []*Player, limit int, keep func(*Info) bool) []Info {
	all := []Info{}
	s.mu.Lock()
	loops := slices.Clone(s.loops)
	s.mu.Unlock()
	for _, l := range loops {
		done := make(chan struct{})
		err := l.t.Post(onLoop(func() {
			defer close(done)
			for i, p := range players {
				if len(all) >= limit {
					return
				}
				if p == nil || p.owner.Load() != l || p.hasEnded() {
					continue
				}
				players[i] = nil // it may move on, and is seen once
				if in := p.infoOnLoop(l); keep(&in) {
					all = append(all, in)
				}
			}
		}))
		if err == nil {
			<-done
		}
	}
	return all
}

// RoomInfo is a snapshot of a room.
type RoomInfo struct {
	Type    string `json:"type"`
	Key     string `json:"key"`
	Players int    `json:"players"` // and those whose OnJoin is to come
	Watched int    `json:"watched"` // spectators
	Seats   int    `json:"seats"`   // 0: no limit
	Locked  bool   `json:"locked"`  // by SetOpen: nobody else gets in
	Ready   int    `json:"ready"`   // of them, with work that the room has not come to
	Posted  int    `json:"posted"`  // functions that wait

	Generation uint64 `json:"generation,omitempty"` // see Room.Generation
}

// InspectRooms returns at most limit rooms for which keep returns true, by type
// and key. It waits for no room.
func (s *Server) InspectRooms(limit int, keep func(*RoomInfo) bool) []RoomInfo {
	all := []RoomInfo{}
	for name, k := range s.kinds {
		k.mu.Lock()
		for at := range k.plan.All() {
			r := at.Value
			in := RoomInfo{Type: name, Key: at.Key, Players: at.Taken(), Watched: at.Watched(), Seats: k.plan.Seats, Locked: at.Shut(), Generation: r.born.gen}
			r.mu.Lock()
			in.Ready, in.Posted = len(r.ready), len(r.posted)
			r.mu.Unlock()
			all = append(all, in)
		}
		k.mu.Unlock()
	}
	all = slices.DeleteFunc(all, func(in RoomInfo) bool { return !keep(&in) }) // without a lock: it is the game's
	slices.SortFunc(all, func(a, b RoomInfo) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Key, b.Key))
	})
	return all[:min(limit, len(all))]
}
