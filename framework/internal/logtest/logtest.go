// SPDX-License-Identifier: MIT

// Package logtest keeps what is logged, so that tests read it. Only tests use it.
package logtest

import (
	"log/slog"
	"strings"
	"sync"
)

// Lines are what was logged. The zero value is empty. Safe to use from any goroutine.
type Lines struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *Lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// Logger returns a logger whose lines are kept.
func (l *Lines) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Count returns how often a text was logged.
func (l *Lines) Count(text string) int { return strings.Count(l.String(), text) }
