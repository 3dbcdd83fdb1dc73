// SPDX-License-Identifier: MIT

package cluster

import "time"

// clock and since are the only places where the package reads the time.
func clock() time.Time { return time.Now() }

func since(t time.Time) time.Duration { return time.Since(t) }

// suspended is how far the wall clock gets ahead of ours when the machine was suspended, as ours
// may not count that time. A wall clock that is set forward looks the same.
const suspended = 2 * time.Second

// times returns how long ago t was, and how much longer ago by the wall clock.
func times(t time.Time) (ago, ahead time.Duration) {
	now := clock()
	ago = now.Sub(t)
	return ago, now.Round(0).Sub(t.Round(0)) - ago
}
