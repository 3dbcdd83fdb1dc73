// SPDX-License-Identifier: MIT

package framework

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/internal/lifecycle"
	"github.com/lifeline-go/lifeline/framework/internal/mailbox"
	"github.com/lifeline-go/lifeline/framework/internal/pending"
)

// inboxFits reports whether one more message of n bytes fits into that many
// quarters of the inbox. Called on the loop.
func (p *Player) inboxFits(n, quarters int) bool {
	inbox := &p.srv.inbox
	if !p.inHigh && n <= inbox.Bytes/4 {
		return true // only this loop fills the inbox, so it is half empty still
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.in.Fits(n, quarters, *inbox)
}

// deliver brings an accepted message to its handler: at once if that is
// Inline and nothing of the player waits before it, else by the inbox. datagram is
// the number of the datagram that brought it: transport.Arrival.
func (l *loop) deliver(p *Player, pk codec.Packet, datagram uint64) {
	var (
		id      uint64
		name    codec.Route
		payload []byte
		err     error
	)
	switch pk.Kind {
	case codec.Request:
		id, name, payload, err = codec.ParseRequest(pk.Body)
	case codec.Message, codec.Datagram:
		name, payload, err = codec.ParseMessage(pk.Body)
		if pk.Kind == codec.Datagram && !name.IsNumber() {
			err = codec.ErrRoute
		}
	case codec.Response, codec.Failure:
		err = p.answered(pk)
		if err == nil {
			return
		}
	}
	if err != nil {
		// It was accepted, so to cut the link would bring it no more than once; but
		// what is wrong is one message, and the link is not: SPEC 4.11.
		l.srv.count.protocolErrors.Add(1)
		p.logLimited(slog.LevelInfo, "malformed envelope", "kind", pk.Kind, "error", err)
		if id, ok := codec.EnvelopeID(pk.Body); ok {
			l.reject(p, "", pk.Kind, id, codec.ErrorBadRequest, "malformed envelope")
		}
		return
	}
	r := l.srv.find(name)
	if pk.Kind == codec.Datagram && r != nil && l.overtaken(p.link, name.Number(), datagram) {
		return
	}
	if r == nil || !r.handled() {
		l.srv.count.noRoute.Add(1)
		l.srv.log.Debug("no such route", "session", p.ID(), "user", p.label(), "route", name)
		l.reject(p, name.String(), pk.Kind, id, codec.ErrorNoRoute, "nothing handles this route")
		return
	}
	if r.begin != nil && pk.Kind != codec.Request {
		l.srv.count.noRoute.Add(1)
		l.reject(p, r.name, pk.Kind, id, codec.ErrorNoRoute, "this route takes requests")
		return // it does nothing but answer
	}
	if len(payload) > r.max {
		l.tooLarge(p, r, pk.Kind, id, len(payload))
		return
	}
	if pk.Kind == codec.Request && !r.reply {
		l.reject(p, r.name, pk.Kind, id, codec.ErrorNoRoute, "this route takes messages, not requests")
		return
	}
	if r.reply && pk.Kind != codec.Request {
		p.tellRefused(r.name, refusal(codec.ErrorNoRoute, "this route takes requests: the answer is dropped"))
	}
	if r.inline && l.inline(p, r, pk.Kind, id, payload) {
		return
	}
	if pk.Kind == codec.Request && r.room == nil && l.srv.pool.full(p) {
		l.srv.count.busy.Add(1)
		l.reject(p, r.name, pk.Kind, id, codec.ErrorBusy, "busy")
		return
	}
	l.enqueue(p, r, pk.Kind, id, payload)
}

// tooLarge refuses what is larger than its route takes.
func (l *loop) tooLarge(p *Player, r *Route, kind codec.Kind, id uint64, size int) {
	l.srv.count.tooLarge.Add(1)
	l.srv.log.Debug("too large for its route", "session", p.ID(), "user", p.label(), "route", r.name, "size", size, "limit", r.max)
	l.reject(p, r.name, kind, id, codec.ErrorBadRequest, fmt.Sprintf("%d bytes are too large, route %s takes %d", size, r.name, r.max))
}

// reject answers a request that reaches no handler. Of a message the client is told if
// the server is strict.
func (l *loop) reject(p *Player, route string, kind codec.Kind, id uint64, code codec.ErrorCode, text string) {
	if kind != codec.Request {
		p.tellRefused(route, refusal(code, text))
		return
	}
	l.answer = codec.AppendFailure(l.answer[:0], id, code, text)
	l.reply(p, codec.Failure)
}

// reply sends l.answer, behind everything that was sent before.
func (l *loop) reply(p *Player, kind codec.Kind) {
	l.drainOut(p)
	l.send(p, kind, l.answer, false)
	l.touch(p)
}

// enqueue puts a message into the inbox and asks the client to wait when that
// fills up.
func (l *loop) enqueue(p *Player, r *Route, kind codec.Kind, id uint64, payload []byte) {
	m := mailbox.NewMessage()
	m.Tag, m.Kind, m.Asked.ID = r.tag(), kind, id
	m.Body = append(m.Body[:0], payload...)
	p.mu.Lock()
	m.Asked.Run = p.extra.appRun()
	p.inHigh = p.in.Push(m, l.srv.inbox)
	holding := p.in.Holding() || p.drains
	due, room := p.activateLocked()
	p.mu.Unlock()
	p.s.Hold(holding)
	if due {
		l.srv.dispatch(p, room)
	}
}

// inline runs a handler on the loop, unless the player is busy elsewhere: the
// order of its messages comes first.
func (l *loop) inline(p *Player, r *Route, kind codec.Kind, id uint64, payload []byte) bool {
	p.mu.Lock()
	if p.active {
		p.mu.Unlock()
		return false
	}
	if t, _, _ := p.nextLocked(); t != lifecycle.Nothing || !p.life.Opened() || p.slowed {
		p.mu.Unlock()
		return false
	}
	p.active = true // no worker or room serves the player meanwhile
	p.mu.Unlock()

	out, ok, err := l.call(p, r, kind, payload)
	l.payload = out
	switch {
	case !ok: // it panicked: the session ends
	case kind == codec.Request:
		// What the handler pushed goes before its answer.
		var answer codec.Kind
		l.answer, answer = p.appendAnswer(l.answer[:0], id, out, err, r.name)
		l.reply(p, answer)
	case err != nil:
		p.logLimited(slog.LevelWarn, "message refused", "route", r.name, "error", err)
		p.tellRefused(r.name, err)
	}
	p.mu.Lock()
	p.active = false
	p.mu.Unlock()
	p.schedule()
	return true
}

// call runs the game's code on the loop.
func (l *loop) call(p *Player, r *Route, kind codec.Kind, payload []byte) (out []byte, ok bool, err error) {
	start := l.srv.watch.Begin(l.activity, &p.user, &r.name)
	defer func() {
		l.activity.End()
		v := unwinding(ok, recover())
		if v == nil {
			return
		}
		p.panicked(r.name, v)
		out, ok = l.payload[:0], false
		if v == errGoexit {
			// Nothing can keep the goroutine of a loop, and all its players would
			// wait for ever: better that the process ends, and says why.
			go panic("framework: Inline handler of route " + r.name + ": " + errGoexit.Error())
		}
	}()
	out, err = r.handle(nil, p, kind, mailbox.Question{}, payload, l.payload[:0])
	l.countInline(r, l.srv.watch.Took(start))
	return out, true, err
}

// inlineLimit is how long an Inline handler may keep its loop, for which all
// players of the loop wait.
const inlineLimit = 10 * time.Millisecond

// countInline counts an Inline handler that took too long, and names it.
func (l *loop) countInline(r *Route, took time.Duration) {
	if took <= inlineLimit {
		return
	}
	l.srv.count.inlineLate.Add(1)
	if f := l.srv.cfg.Observer.InlineLate; f != nil {
		l.srv.observe("InlineLate", func() { f(r.name, took) })
	}
	if n, ok := r.lateLog.Allow(clock()); ok {
		l.srv.log.Warn("an Inline handler blocks its loop", "route", r.name, "took", took, "times", n, "loop", l.t.Index())
	}
}

// answered takes a RESPONSE or a FAILURE on the loop. An unknown id is that of a
// request that was given up.
func (p *Player) answered(pk codec.Packet) error {
	id, a, err := pending.Parse(pk)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.extra == nil {
		return err
	}
	if call := p.extra.calls.Take(id); !call.IsZero() {
		call.Settle(a)
	}
	return err
}

// RouteRefused tells a client of a message that came to nothing: [route, code, text].
// See Config.Strict.
const RouteRefused = "message.refused"

// refusedNews is what RouteRefused tells. The code is that of a FAILURE.
type refusedNews struct {
	Route string
	Code  codec.ErrorCode
	Text  string
}

// tellRefused tells the client of a one-way message that came to nothing, if the server
// is strict.
func (p *Player) tellRefused(route string, err error) {
	if !p.srv.cfg.Strict {
		return
	}
	var e *codec.Error
	if !errors.As(err, &e) {
		e = &codec.Error{Code: codec.ErrorInternal, Text: "internal error"}
	}
	_ = p.Push(RouteRefused, &refusedNews{short(route), e.Code, short(e.Text)})
}
