// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// What waits for one player is bounded by Session.SendPackets and SendBytes. Beyond
// that all of it is given up, and the client comes back to a RESET and a snapshot.
// A game that sends more at once than may wait would do so for ever: it is told by
// Push, can pace it by PushAll, and the client is kept waiting longer each time.

// OverflowError says that more would wait for a player than may: all of it is given
// up, and what is sent until the client has come back to a snapshot (OnSnapshot). errors.Is(err, ErrOverflow) finds it.
type OverflowError struct {
	Packets, Bytes       int // that waited, before
	MaxPackets, MaxBytes int // Session.SendPackets and SendBytes
}

func (e *OverflowError) Error() string {
	return fmt.Sprintf("framework: more than %d packets and %d bytes may not wait (%d and %d did): all is given up, pace it by PushAll",
		e.MaxPackets, e.MaxBytes, e.Packets, e.Bytes)
}

// Unwrap returns ErrOverflow.
func (e *OverflowError) Unwrap() error { return session.ErrOverflow }

// Queued returns what was sent to the player and is not acknowledged by its client
// yet: messages and answers, and their bytes. More than Session.SendPackets and
// SendBytes never wait.
func (p *Player) Queued() (packets, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queuedLocked()
}

func (p *Player) queuedLocked() (packets, bytes int) {
	q := p.queued.Load()
	return p.out.Len() + int(q>>32), p.out.Size() + int(uint32(q))
}

// publishQueued takes note of what waits in the session. Called on the owning loop.
func (p *Player) publishQueued() {
	packets, bytes := p.s.Queued()
	if q := uint64(packets)<<32 | uint64(bytes); q != p.queued.Load() {
		p.queued.Store(q)
	}
}

// overflowErrorLocked is what Push returns once all is given up.
func (p *Player) overflowErrorLocked(packets, bytes int) error {
	cfg := &p.srv.cfg.Session
	return &OverflowError{packets, bytes, cfg.SendPackets, cfg.SendBytes}
}

// PushAll sends many messages, or large ones: a world at login, a snapshot. It
// takes the next part when at most half of what may wait for the player does, so
// that none of it overflows however slowly the client reads; what others send to
// the player meanwhile comes in between.
//
// It blocks until the last part was taken, unlike Push: in a room and in an
// Inline handler start a goroutine for it; in a hook or handler of the player its
// other messages wait. The error is that of Push, ctx's, or a *OverflowError when
// the player was reset meanwhile: then a snapshot is due again.
//
//	OnSnapshot: func(p *framework.Player) {
//		go framework.PushAll(p.Context(), p, "chunk", world.Chunks())
//	}
func PushAll[T any](ctx context.Context, p *Player, route string, parts iter.Seq[T]) error {
	p.mu.Lock()
	gaps := p.extraLocked().over.Gaps()
	p.mu.Unlock()
	for v := range parts {
		if err := p.awaitHalfFree(ctx, gaps); err != nil {
			return err
		}
		if err := p.Push(route, v); err != nil {
			return err
		}
	}
	return nil
}

// awaitHalfFree waits until half of what may wait for the player is free.
func (p *Player) awaitHalfFree(ctx context.Context, gaps uint32) error {
	const soonest, latest = time.Millisecond, 20 * time.Millisecond
	cfg := &p.srv.cfg.Session
	for pause := soonest; ; pause = min(2*pause, latest) {
		p.mu.Lock()
		packets, bytes := p.queuedLocked()
		ended, reset := p.life.Ending(), p.extra.over.Gaps() != gaps
		p.mu.Unlock()
		switch {
		case ended:
			return session.ErrClosed
		case reset:
			return p.overflowErrorLocked(packets, bytes)
		case packets <= cfg.SendPackets/2 && bytes <= cfg.SendBytes/2:
			return ctx.Err()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// overflowed cuts the link of a player that did not read what was sent to it, or
// was sent too much at once: it comes back to a RESET, or too often and then not
// at all.
func (l *loop) overflowed(p *Player, overBudget bool) {
	l.srv.count.overflows.Add(1)
	if overBudget {
		l.srv.count.overBudget.Add(1)
	}
	if f := l.srv.cfg.Observer.Overflowed; f != nil {
		l.srv.observe("Overflowed", func() { f(p, overBudget) })
	}
	p.mu.Lock()
	p.extraLocked().over.Note(l.t.Now(), l.srv.cfg.Session.Grace)
	p.mu.Unlock()
	text := "outgoing buffer overflowed"
	if p.link != nil && !overBudget {
		text = "outgoing buffer overflowed: more was sent at once than may wait (see PushAll), or the client reads too slowly"
	}
	p.logLimited(slog.LevelWarn, text, "over_budget", overBudget, "limit", l.srv.cfg.Session.SendBytes)
	if p.migrating() {
		return // the next server's RESET says so
	}
	if p.s.Spent() {
		l.end(p, Reason{Code: session.Overflow})
		return
	}
	l.cut(p, session.SlowReader)
}

// backoff is how long a client that overflowed has to wait until it may come back.
func (p *Player) backoff(now time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.extra == nil {
		return 0
	}
	return p.extra.over.Backoff(now, p.srv.cfg.Session.Grace)
}

// resetLocked takes note that the client has come back to a RESET.
func (p *Player) resetLocked() {
	p.life.Reset()
	for s := p.seats; s != nil; s = s.next {
		s.life.Reset()
	}
	if p.extra != nil {
		p.extra.over.Reset()
	}
}
