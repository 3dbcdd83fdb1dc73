// SPDX-License-Identifier: MIT

package client

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// This file brings a client back into the rooms of a crashed server: CLIENT.md 7. The
// client alone knows where it was.

// again is a wish to be in a room again. Guarded by rooms.mu.
type again struct {
	room  *Room // immutable, of which it is the wish; else it is over
	tries int
	why   error       // of the last answer
	timer *time.Timer // until the client asks again; nil: it waits for the answer
	last  bool        // the app has decided for itself: the client does not ask again
}

const (
	// maxAgain is how often the client asks again if the answer is BUSY.
	maxAgain = 6
	// pauseAgain bounds the pause before it does, and doubles with each.
	pauseAgain = 500 * time.Millisecond
)

// notAgain ends the wish to be in again. The caller holds rooms.mu.
func (r *Room) notAgain() {
	if r.again != nil && r.again.timer != nil {
		r.again.timer.Stop()
	}
	r.again = nil
}

// wasReset takes note of a RESET. room.all is to come, and until then nothing is asked.
func (s *rooms) wasReset(restart bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restart = s.restart || restart
	for _, r := range s.byType {
		if r.again != nil && r.again.timer != nil {
			r.again.timer.Stop()
		}
	}
}

// askAgain asks for the rooms that were lost: of each type that is not in here, if the
// server was lost, or if the client had not got in again since; but not if the app has
// decided otherwise by then.
func (s *rooms) askAgain(here map[string]string) {
	s.mu.Lock()
	var lost []*again
	for _, name := range slices.Sorted(maps.Keys(s.byType)) {
		r := s.byType[name]
		if _, in := here[name]; in || !r.in || r.again == nil && !s.restart {
			continue
		}
		decided := r.again != nil && r.again.last
		r.notAgain()
		if !decided {
			r.again = &again{room: r}
			lost = append(lost, r.again)
		}
	}
	s.mu.Unlock()
	for _, a := range lost {
		s.enter(a)
	}
}

// enter asks for the room.
func (s *rooms) enter(a *again) {
	s.order.Lock()
	defer s.order.Unlock()
	s.mu.Lock()
	r := a.room
	route, key, over, last := routeJoin, r.key, r.again != a, a.last
	if r.watching {
		route = routeWatch
	}
	a.timer = nil
	s.mu.Unlock()
	switch {
	case over:
	case last:
		s.later(func() { s.entered(a, a.why) })
	default:
		s.begin(route, [...]string{r.name, key}, func(err error) { s.entered(a, err) })
	}
}

// entered takes what came of it.
func (s *rooms) entered(a *again, err error) {
	r, no := a.room, (*codec.Error)(nil)
	if !errors.As(err, &no) {
		no = &codec.Error{}
	}
	s.mu.Lock()
	switch {
	case r.again != a, no.Code == codec.ErrorReset, errors.Is(err, session.ErrClosed):
		// It is over, or room.all is to come.
	case err == nil:
		r.again = nil // it was a member still
	case a.tries < maxAgain && !a.last && (errors.Is(err, session.ErrFull) || busy(no, r.watching)):
		a.why = err
		a.timer = time.AfterFunc(max(s.pause(pauseAgain<<a.tries), 1), func() { s.enter(a) })
		a.tries++
	default:
		key, why := r.key, Reason{CodeRoomLost, no.Text}
		if no.Code >= codec.GameError {
			why.Code = session.Code(no.Code)
		}
		s.mu.Unlock()
		s.left(r.name, key, why)
		return
	}
	s.mu.Unlock()
}

// busy reports whether the answer may be another one soon. A room to be watched is there
// once one of its members is back.
func busy(no *codec.Error, watch bool) bool {
	return no.Code == codec.ErrorBusy || watch && no.Code == codec.ErrorRefused
}

// appDecides takes note that the app wishes something of a type, or of the only room if
// the name is empty. The client does not ask again by itself from here on.
func (s *rooms) appDecides(name string) {
	s.order.Lock()
	defer s.order.Unlock()
	s.mu.Lock()
	var put []*again // off, until now
	for _, r := range s.byType {
		if a := r.again; a != nil && (name == "" || name == r.name) {
			a.last = true
			if a.timer != nil && a.timer.Stop() {
				put = append(put, a)
			}
		}
	}
	s.mu.Unlock()
	for _, a := range put {
		s.later(func() { s.entered(a, a.why) })
	}
}
