// SPDX-License-Identifier: MIT

package mailbox

import "time"

// Overflow remembers when more was sent to a player than may wait. From then on all is
// given up until its client has come back to a RESET. The zero value is no overflow.
type Overflow struct {
	over  bool          // until the client has come back
	times uint8         // in a row, each within a grace of the one before
	gaps  uint32        // overflows and resets so far
	at    time.Duration // of the last one
}

// maxBackoff bounds how long a client that overflowed is kept waiting: session/SPEC 4.9.
const maxBackoff = 30 * time.Second

// Over reports whether what is sent is given up.
func (o *Overflow) Over() bool { return o.over }

// Gaps counts the overflows and resets: what was sent before another one is lost.
func (o *Overflow) Gaps() uint32 { return o.gaps }

// Refuse tells that all is given up from now on. Note follows.
func (o *Overflow) Refuse() { o.over = true }

// Note takes note of an overflow.
func (o *Overflow) Note(now, grace time.Duration) {
	if now-o.at > grace {
		o.times = 0
	}
	o.over, o.at, o.gaps, o.times = true, now, o.gaps+1, min(o.times+1, 32)
}

// Reset tells that the client has come back to a RESET.
func (o *Overflow) Reset() {
	o.over = false
	o.gaps++
}

// Backoff is how long the client has to wait until it may come back: not at all the
// first time, then a second, two, four. Else a snapshot that is too large would be sent
// as fast as the client can come back.
func (o *Overflow) Backoff(now, grace time.Duration) time.Duration {
	if !o.over || o.times < 2 {
		return 0
	}
	pause := min(time.Second<<(min(o.times, 8)-2), maxBackoff, grace/2)
	return max(o.at+pause-now, 0)
}
