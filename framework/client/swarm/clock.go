// SPDX-License-Identifier: MIT

package swarm

import "time"

// now and since are the only places that ask for the time.
func now() time.Time                  { return time.Now() }
func since(t time.Time) time.Duration { return time.Since(t) }
