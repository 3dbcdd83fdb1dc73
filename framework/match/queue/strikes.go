// SPDX-License-Identifier: MIT

package queue

import "time"

// strikes are who has declined of late. Bounded: the oldest make room.
type strikes struct {
	of   map[string]*strike
	list []*strike // by time of the last one; older entries of one strike are stale
}

type strike struct {
	id    string
	n     int
	at    time.Time
	until time.Time
	list  int // entries in the list
}

// strike notes that a player has declined, or has not answered.
func (q *Queue) strike(id string, now time.Time) {
	if q.rules.Penalty == nil {
		return
	}
	s := &q.strikes
	s.forget(now)
	x := s.of[id]
	if x == nil {
		x = &strike{id: id}
	}
	if x.n++; now.Sub(x.at) >= forgiven && !x.until.After(now) {
		x.n = 1
	}
	x.at, x.until = now, now.Add(q.rules.Penalty(x.n))
	s.of[id] = x
	x.list++
	s.list = append(s.list, x)
	q.stats.Strikes++
}

// forget drops what is old or too much.
func (s *strikes) forget(now time.Time) {
	for len(s.list) > 0 {
		x := s.list[0]
		old := now.Sub(x.at) >= forgiven && !x.until.After(now)
		if x.list == 1 && !old && len(s.list) < maxStrikes {
			return
		}
		s.list[0] = nil
		s.list = s.list[1:]
		if x.list--; x.list == 0 {
			delete(s.of, x.id)
		}
	}
}

// until returns until when a player may not enter.
func (s *strikes) until(id string) time.Time {
	if x := s.of[id]; x != nil {
		return x.until
	}
	return time.Time{}
}
