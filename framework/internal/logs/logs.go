// SPDX-License-Identifier: MIT

// Package logs bounds what a client may make a server log: how often, and how much.
package logs

import (
	"strings"
	"sync"
	"time"
)

// every is how often a line comes that a client may cause with every message.
const every = time.Minute

// Limiter lets the first of many alike through, and then at most one a minute, with
// how many there were. The zero value works. Safe to use from any goroutine.
type Limiter struct {
	mu   sync.Mutex
	next time.Time
	n    uint64
}

// Allow reports whether this one is to be logged, and how many it stands for.
func (l *Limiter) Allow(now time.Time) (times uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	if now.Before(l.next) {
		return 0, false
	}
	times, l.n, l.next = l.n, 0, now.Add(every)
	return times, true
}

// maxLabel bounds a user in a line, in bytes.
const maxLabel = 64

// Label is a user as lines have it: a ticket may make a long one.
func Label(user string) string {
	if len(user) <= maxLabel {
		return user
	}
	return strings.ToValidUTF8(user[:maxLabel], "") + "..."
}
