// SPDX-License-Identifier: MIT

package cluster

import "time"

// clock and since are the only places where the package reads the time.
func clock() time.Time { return time.Now() }

func since(t time.Time) time.Duration { return time.Since(t) }
