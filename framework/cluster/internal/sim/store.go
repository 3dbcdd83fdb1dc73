// SPDX-License-Identifier: MIT

package sim

import "time"

// Store is the leader of a replicated store as its clients see it: one order of writes,
// with revisions; answers that get lost, writes that come late or twice, reads that are
// old, times without a leader.
type Store struct {
	World   *World
	DownTil time.Duration    // no request is done before
	Changed func(key string) // called after each write; nil for none

	seq  uint64
	keys map[string][]Version
}

// Version is one value of a key. The zero value is that of a key that never was.
type Version struct {
	Rev   uint64
	Value any

	at time.Duration
}

// Way is whether the messages of a client get through, and the answers back.
type Way struct{ There, Back bool }

// Whole is the Way of a client that is not cut off.
var Whole = Way{true, true}

// Client is a process that asks a Store.
type Client interface {
	// Process returns what runs functions in the process that there is now: not if it is
	// another one by then, and later while it is stopped.
	Process() (deliver func(func()))
	Way() Way
}

// Answer is what came of a request.
type Answer uint8

const (
	Done    Answer = iota
	Refused        // the key has another revision
	Lost           // no answer came in time
)

const requestTimeout = time.Second

// oldest is how old a read may be, and versions how many there are of a key.
const (
	oldest   = 10 * time.Second
	versions = 8
)

// Latest returns what stands under a key.
func (s *Store) Latest(key string) Version {
	if h := s.keys[key]; len(h) > 0 {
		return h[len(h)-1]
	}
	return Version{}
}

// request lets apply happen, once or twice or never, and tells the client.
func (s *Store) request(c Client, apply func() (answer func()), lost func()) {
	w, deliver, answered := s.World, c.Process(), false
	answer := func(f func()) {
		deliver(func() {
			if !answered {
				answered = true
				f()
			}
		})
	}
	w.After(requestTimeout, func() { answer(lost) })
	times := 1
	if !w.Quiet && w.Chance(0.01) {
		times = 2
	}
	for range times {
		if !c.Way().There || !w.Quiet && w.Chance(0.005) {
			continue
		}
		w.After(w.Latency(), func() {
			if w.Now < s.DownTil {
				return
			}
			told := apply()
			if c.Way().Back && (w.Quiet || !w.Chance(w.Lost)) {
				w.After(w.Latency(), func() { answer(told) })
			}
		})
	}
}

// Get reads a key, perhaps from a leader that does not know that it is none any more.
func (s *Store) Get(c Client, key string, f func(v Version, a Answer)) {
	w := s.World
	s.request(c, func() func() {
		v := s.Latest(key)
		if h := s.keys[key]; w.Stale && !w.Quiet && w.Chance(0.05) {
			for i := len(h) - 1; i > 0 && w.Now-h[i].at < oldest && w.Chance(0.7); i-- {
				v = h[i-1]
			}
		}
		return func() { f(v, Done) }
	}, func() { f(Version{}, Lost) })
}

// Put writes a key if its revision is rev, and tells the next revision.
func (s *Store) Put(c Client, key string, value any, rev uint64, f func(next uint64, a Answer)) {
	s.request(c, func() func() {
		if s.Latest(key).Rev != rev {
			return func() { f(0, Refused) }
		}
		if s.keys == nil {
			s.keys = map[string][]Version{}
		}
		s.seq++
		next := s.seq
		h := append(s.keys[key], Version{next, value, s.World.Now})
		s.keys[key] = h[max(len(h)-versions, 0):]
		if s.Changed != nil {
			s.Changed(key)
		}
		return func() { f(next, Done) }
	}, func() { f(0, Lost) })
}
