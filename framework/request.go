// SPDX-License-Identifier: MIT

package framework

import (
	"context"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
	"github.com/lifeline-go/lifeline/framework/internal/pending"
	"github.com/lifeline-go/lifeline/session"
)

// Request asks the client and waits for its answer, which it reads into answer,
// a pointer, or ignores if that is nil. The request outlives lost links; ctx,
// or half a minute if it has no deadline, bounds the wait. The error is ctx's,
// ErrClosed, or a *Error: what the client answered, or
// ErrorReset when the session was reset before the answer came.
//
// It blocks, unlike everything else here: not to be called in a room or an
// Inline handler. There, start a goroutine that asks and posts the answer.
func (p *Player) Request(ctx context.Context, route string, v, answer any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	id, call, err := p.ask(route, v)
	if err != nil {
		return err
	}
	payload, err := p.await(ctx, id, call)
	if err != nil || answer == nil {
		return err
	}
	return codec.DecodeBody(payload, answer)
}

// await returns the answer to what ask has sent.
func (p *Player) await(ctx context.Context, id uint64, call pending.Call) ([]byte, error) {
	return call.Wait(ctx, func() {
		p.mu.Lock()
		p.extra.calls.Take(id)
		p.mu.Unlock()
	})
}

// ask sends a request.
func (p *Player) ask(route string, v any) (id uint64, call pending.Call, err error) {
	l, err := p.srv.encode(route, v)
	if err != nil {
		return 0, call, err
	}
	defer l.free()
	m := mailbox.NewMessage()
	m.Kind = codec.Request
	p.mu.Lock()
	c := &p.extraLocked().calls
	id = c.Next()
	m.Body = codec.AppendRequest(m.Body[:0], id, l.route(p.numbers), l.scratch.Body)
	if len(m.Body) > p.srv.cfg.Session.MaxBody {
		p.mu.Unlock()
		m.Free()
		return 0, call, codec.ErrTooLarge
	}
	if p.life.Ending() {
		p.mu.Unlock()
		m.Free()
		return 0, call, session.ErrClosed
	}
	call = c.Add(0)
	e := p.enqueueLocked(m)
	p.mu.Unlock()
	return id, call, p.enqueued(e, true)
}
