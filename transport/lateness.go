// SPDX-License-Identifier: MIT

package transport

import "time"

const (
	// A loop that is at most this late is on time: Go's timers are no better.
	onTime   = 5 * time.Millisecond
	lateHalf = 50 * time.Millisecond
	// maxExtra bounds what lateness adds to retransmission timeouts.
	maxExtra = 250 * time.Millisecond
	// A batch that takes longer is lateness, too.
	longBatch = 50 * time.Millisecond
)

// latenessBounds are in nanoseconds. Go's own timers are up to a millisecond late.
var latenessBounds = []int64{1e6, 2e6, 5e6, 10e6, 25e6, 50e6, 100e6, 250e6, 1e9}

// lateness is how late a loop runs. Owned by the loop.
type lateness struct {
	late      time.Duration // how late the loop was at lateAt; half of it is forgotten every lateHalf
	lateAt    time.Duration
	came      *Histogram              // how late the timer came, ever; shared with Stats
	busySince [carriers]time.Duration // since when the datagram socket has not been empty; Never if it is
}

func (s *lateness) init() {
	s.came = NewHistogram(latenessBounds)
	for i := range s.busySince {
		s.busySince[i] = Never
	}
}

// sample notes how late the timer came.
func (s *lateness) sample(now, late time.Duration) {
	s.note(now, late)
	s.came.Observe(int64(late))
}

// took notes how long a batch took: what came meanwhile has waited.
func (s *lateness) took(now, d time.Duration) {
	if d > longBatch {
		s.note(now, d)
	}
}

func (s *lateness) note(now, late time.Duration) {
	if late >= s.left(now) {
		s.late, s.lateAt = late, now
	}
}

// left is how late the loop runs, as far as that is still worth knowing.
func (s *lateness) left(now time.Duration) time.Duration {
	return s.late >> min((now-s.lateAt)/lateHalf, 62)
}

// received notes whether the datagram socket of a carrier was read until it was
// empty. A queue that never gets empty is lateness that no timer sees.
func (s *lateness) received(now time.Duration, of Carrier, empty bool) {
	if since := &s.busySince[of]; empty {
		*since = Never
	} else {
		*since = min(*since, now)
	}
}

// extra is what the loop's own lateness adds to the timeouts of its links.
func (s *lateness) extra(now time.Duration) time.Duration {
	late := s.left(now)
	for _, since := range s.busySince {
		late = max(late, now-since)
	}
	if late <= onTime {
		return 0
	}
	return min(late, maxExtra)
}
