// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// calls are the requests of a player that wait for its client's answer. The
// server numbers its requests itself; the client's ids are other ones.
type calls struct {
	waiting map[uint64]chan reply // 1 deep: nobody waits to answer
	last    uint64
}

type reply struct {
	payload []byte
	err     error
}

// requestTimeout bounds a request whose context has no deadline: a client that
// was asked to hold can't answer before its messages are handled, and the
// handler of one of them may be who waits.
const requestTimeout = 30 * time.Second

// Request asks the client and waits for its answer, which it reads into reply,
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
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, requestTimeout)
		defer cancel()
	}
	id, wait, err := p.ask(route, v)
	if err != nil {
		return err
	}
	var r reply
	select {
	case r = <-wait:
	case <-ctx.Done():
		p.mu.Lock()
		delete(p.extra.calls.waiting, id)
		p.mu.Unlock()
		select {
		case r = <-wait: // it came all the same
		default:
			return ctx.Err()
		}
	}
	if r.err != nil || answer == nil {
		return r.err
	}
	return codec.DecodeBody(r.payload, answer)
}

// ask sends a request and notes that somebody waits for its answer.
func (p *Player) ask(route string, v any) (id uint64, wait chan reply, err error) {
	l, err := p.srv.encode(route, v)
	if err != nil {
		return 0, nil, err
	}
	defer l.free()
	m := newMessage()
	m.kind = codec.Request
	p.mu.Lock()
	c := &p.extraLocked().calls
	id = c.last + 1
	m.body = codec.AppendRequest(m.body[:0], id, l.route(p.numbers), l.scratch.body)
	if len(m.body) > p.srv.cfg.Session.MaxBody {
		p.mu.Unlock()
		m.free()
		return 0, nil, codec.ErrTooLarge
	}
	if p.life.Ending() {
		p.mu.Unlock()
		m.free()
		return 0, nil, session.ErrClosed
	}
	if c.waiting == nil {
		c.waiting = map[uint64]chan reply{}
	}
	wait = make(chan reply, 1)
	c.last, c.waiting[id] = id, wait
	e := p.enqueueLocked(m)
	p.mu.Unlock()
	return id, wait, p.enqueued(e, true)
}

// answered takes a RESPONSE or a FAILURE on the loop. Unknown ids are those of
// requests that nobody waits for any more.
func (p *Player) answered(pk codec.Packet) error {
	var (
		id  uint64
		r   reply
		err error
	)
	if pk.Kind == codec.Response {
		id, r.payload, err = codec.ParseResponse(pk.Body)
	} else {
		var code codec.ErrorCode
		var text []byte
		id, code, text, err = codec.ParseFailure(pk.Body)
		r.err = &codec.Error{Code: code, Text: string(text)}
	}
	if err != nil { // whoever waits for it is told, if it can be found
		id, _ = codec.EnvelopeID(pk.Body)
		r = reply{err: fmt.Errorf("framework: malformed answer: %w", err)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.extra == nil {
		return err
	}
	if wait := p.extra.calls.waiting[id]; wait != nil {
		delete(p.extra.calls.waiting, id)
		r.payload = append([]byte(nil), r.payload...)
		wait <- r
	}
	return err
}

// failCallsLocked ends all requests: their answers can't come any more.
func (p *Player) failCallsLocked(err error) {
	if p.extra == nil {
		return
	}
	for id, wait := range p.extra.calls.waiting {
		delete(p.extra.calls.waiting, id)
		wait <- reply{err: err}
	}
}
