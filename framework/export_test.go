// SPDX-License-Identifier: MIT

package framework

import (
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
