// SPDX-License-Identifier: MIT

package queue

import (
	"slices"
	"time"
)

// Stats counts what has happened.
type Stats struct {
	Waiting, Proposals, Seatings, Backfills int // at present: tickets, and rooms that look for players

	Entered    uint64 // tickets
	Refused    uint64 // by Enter
	Matches    uint64 // that have begun
	Backfilled uint64 // of them, those into a room that ran
	Players    uint64 // of all matches
	Bots       uint64 // places left to bots
	Proposed   uint64 // matches to be accepted
	Failed     uint64 // matches that could not begin
	Returned   uint64 // tickets that had to wait again
	Strikes    uint64 // players that have declined or not answered
	Cancelled  uint64 // tickets, by a player
	Declined   uint64 // tickets, in a match to be accepted
	Unanswered uint64 // tickets, in a match to be accepted
	Dropped    uint64 // tickets, without a link for too long
	Left       uint64 // tickets, whose session has ended
	NotSeated  uint64 // tickets, whose match could not begin

	// Waits are the tickets whose match has begun, by how long they had waited: up to
	// WaitBounds, and the rest.
	Waits [len(WaitBounds) + 1]uint64
	// WaitSum is how long they have waited together.
	WaitSum time.Duration
}

// WaitBounds are those of Stats.Waits.
var WaitBounds = [...]time.Duration{time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute}

// Stats returns the counters.
func (q *Queue) Stats() Stats {
	s := q.stats
	s.Waiting, s.Backfills = q.ages.n, len(q.fills)
	for _, m := range q.matches {
		if m.state == Proposed {
			s.Proposals++
		} else {
			s.Seatings++
		}
	}
	return s
}

func (s *Stats) wait(d time.Duration) {
	s.WaitSum += d
	i, _ := slices.BinarySearch(WaitBounds[:], d)
	s.Waits[i]++
}

func (s *Stats) count(why Why) {
	*[...]*uint64{nil, &s.Cancelled, &s.Declined, &s.Unanswered, &s.Dropped, &s.Left, &s.NotSeated}[why]++
}
