// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// logEvery is how often a line comes that a client may cause with every message.
const logEvery = time.Minute

// logLimiter lets the first of many alike through, and then at most one a minute,
// with how many there were. Safe to use from any goroutine.
type logLimiter struct {
	mu   sync.Mutex
	next time.Time
	n    uint64
}

// allow reports whether this one is to be logged, and how many it stands for.
func (s *logLimiter) allow(now time.Time) (times uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if now.Before(s.next) {
		return 0, false
	}
	times, s.n, s.next = s.n, 0, now.Add(logEvery)
	return times, true
}

// logLimited logs what the player's client may cause with every message.
func (p *Player) logLimited(level slog.Level, text string, attrs ...any) {
	p.mu.Lock()
	said := &p.extraLocked().logLimiter
	p.mu.Unlock()
	if n, ok := said.allow(clock()); ok {
		p.srv.log.Log(context.Background(), level, text, append([]any{"session", p.ID(), "user", p.label(), "times", n}, attrs...)...)
	}
}

// label is the player's user as logs have it: a ticket may make a long one.
func (p *Player) label() string { return labelOf(p.user) }

func labelOf(user string) string {
	const most = 64
	if len(user) <= most {
		return user
	}
	return strings.ToValidUTF8(user[:most], "") + "..."
}
