// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"iter"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// What waits for one player is bounded by Session.SendPackets and SendBytes. Beyond
// that all of it is given up, and the client comes back to a RESET and a snapshot.
// A game that sends more at once than may wait would do so for ever: it is told by
// Push, can pace it by PushAll, and the client is kept waiting longer each time.

// Queued returns what was sent to the player and is not acknowledged by its client
// yet: messages and answers, and their bytes. More than Session.SendPackets and
// SendBytes never wait.
func (p *Player) Queued() (packets, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queuedLocked()
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
