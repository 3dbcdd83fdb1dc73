// SPDX-License-Identifier: MIT

package framework

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/lifeline-go/lifeline/framework/internal/filter"
)

// Unaccounted returns what is missing of the budget when the server has
// stopped: bytes that nobody gave back, and bytes of packets in no session.
func (s *Server) Unaccounted() (missing, held int64) {
	missing = s.budget.Used()
	for _, l := range s.loops {
		missing -= int64(l.shard.Share)
		held += int64(l.shard.Pool.Held())
	}
	return missing, held
}

// Groups counts the groups that somebody is in.
func (s *Server) Groups() int { return s.groups.Tags() }

// Rush pretends that so many players have logged in, and that f gives memory back.
func (s *Server) LoginStorm(logins int, f func()) {
	s.returnMemory = f
	s.count.opened.Add(uint64(logins))
}

// CountedCodes is how many close codes are counted apart: those below it.
const CountedCodes = len(codeCounts{}) - 1

// Feeds counts the lists of rooms that are followed.
func (s *Server) Feeds() (n int) {
	for _, k := range s.kinds {
		k.mu.Lock()
		n += k.feed.Len()
		k.mu.Unlock()
	}
	return n
}

// FollowMeanwhile makes p follow a list while followers of lists are told news, which stops
// at any other one.
func (s *Server) FollowMeanwhile(of string, p *Player, text string) (wait func(), err error) {
	k := s.kinds[of]
	f, err := filter.Parse(text)
	if err != nil {
		return nil, err
	}
	pause := func() {
		for range 20_000 {
			runtime.Gosched()
		}
	}
	for _, other := range s.players() {
		if other != p {
			other.mu.Lock()
			defer other.mu.Unlock()
		}
	}
	both := new(sync.WaitGroup)
	both.Go(k.flush)
	pause()
	both.Go(func() { _, _ = p.followList(k, text, f) })
	pause()
	return both.Wait, nil
}

// Openings is how many links, open or not, wait for their deadline to ask for a session.
func (s *Server) Openings() (n int) {
	for _, l := range s.loops {
		done := make(chan struct{})
		_ = l.t.Post(onLoop(func() { n += len(l.openings); close(done) }))
		<-done
	}
	return n
}

// Left lists what a server without players and rooms still holds.
func (s *Server) Left() (left []string) {
	note := func(what string, n int) {
		if n != 0 {
			left = append(left, fmt.Sprintf("%s: %d", what, n))
		}
	}
	s.mu.Lock()
	note("logins", len(s.logins))
	note("stray logins", s.authSlots.Strays())
	note("slots of logins", s.authSlots.Taken())
	note("sessions on their way", len(s.arriving))
	note("addresses", len(s.origins))
	note("users that wait for an end", len(s.awaitClose))
	note("sessions", s.table.Len())
	loops := s.loops
	s.mu.Unlock()
	for _, l := range loops {
		done := make(chan struct{})
		err := l.t.Post(onLoop(func() {
			note("deadlines", l.wheel.Len())
			note("links that are opened", len(l.openings))
			note("links with datagrams", len(l.newest))
			note("players with something to write", len(l.dirty))
			close(done)
		}))
		if err == nil { // else it has stopped
			<-done
		}
	}
	for name, k := range s.kinds {
		k.mu.Lock()
		note("rooms of type "+name, k.plan.Len())
		note("followers of type "+name, k.feed.Len())
		k.mu.Unlock()
	}
	note("groups", s.groups.Tags())
	note("goroutines of rooms", s.watch.Rooms())
	st := s.pool.stats()
	note("workers that are busy", st.Busy)
	note("players that wait for a worker", st.Waiting)
	for where, n := range s.watch.Stuck() {
		note("stuck in a "+where, int(n))
	}
	for c := range s.count.attached {
		note("links of sessions", int(s.count.attached[c].Load()))
	}
	return left
}
