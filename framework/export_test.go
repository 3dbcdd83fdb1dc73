// SPDX-License-Identifier: MIT

package framework

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
