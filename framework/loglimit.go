// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"log/slog"

	"github.com/lifeline-go/lifeline/framework/internal/logs"
)

// logLimited logs what the player's client may cause with every message.
func (p *Player) logLimited(level slog.Level, text string, attrs ...any) {
	p.mu.Lock()
	said := &p.extraLocked().logLimiter
	p.mu.Unlock()
	if n, ok := said.Allow(clock()); ok {
		p.srv.log.Log(context.Background(), level, text, append([]any{"session", p.ID(), "user", p.label(), "times", n}, attrs...)...)
	}
}

// label is the player's user as logs have it.
func (p *Player) label() string { return logs.Label(p.user) }
