// SPDX-License-Identifier: MIT

package framework

import "time"

// clock and since are the only places where the package reads the time.
func clock() time.Time { return time.Now() }

// since reads the monotonic clock only. It is cheaper than clock, which reads the
// wall clock as well.
func since(t time.Time) time.Duration { return time.Since(t) }
