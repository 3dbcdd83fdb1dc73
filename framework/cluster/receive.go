// SPDX-License-Identifier: MIT

package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/pipe"
	"github.com/lifeline-go/lifeline/framework/internal/pending"
	"github.com/lifeline-go/lifeline/session"
)

// What comes from other servers for users that are here.

// receive answers a batch of another server. It does not block.
func (m *messages) receive(b []byte) []byte {
	var q batchBody
	if err := decode(b, &q); err != nil {
		if n, ok := m.garbled.Allow(clock()); ok {
			m.c.log.Error("messages of another server are not understood", "times", n, "error", err)
		}
		return nil
	}
	from := core.Incarnation{Node: q.Node, Boot: q.Boot}
	if q.Number == 0 { // questions, in no order
		if !m.mayHandOver() {
			return nil
		}
		return encodeAnswers(m.take(from, q.Messages))
	}
	in := m.incoming(from)
	if in == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	switch in.r.Arrive(q.Number) {
	case pipe.Late:
		return nil
	case pipe.Repeated:
		m.repeated.Add(1)
		return in.r.Answer()
	}
	if !m.mayHandOver() {
		return nil
	}
	answer := encodeAnswers(m.take(from, q.Messages))
	in.r.Took(q.Number, answer)
	return answer
}

// mayHandOver reports whether the server may act for its sessions, or has none any more.
func (m *messages) mayHandOver() bool {
	if m.c.HasLease() {
		return true
	}
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	return m.c.lease.Left()
}

// incoming returns what has come from a server, nil if that is dead.
func (m *messages) incoming(from core.Incarnation) *incoming {
	if m.c.dead(from) {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	in := m.from[from]
	if in == nil {
		m.forgetSendersLocked()
		in = &incoming{}
		m.from[from] = in
	}
	return in
}

func (m *messages) forgetSendersLocked() {
	maps.DeleteFunc(m.from, func(from core.Incarnation, _ *incoming) bool { return m.c.dead(from) })
}

func (m *messages) take(from core.Incarnation, list []messageBody) []pipe.Answer {
	refs := make([]*messageBody, len(list))
	for i := range list {
		refs[i] = &list[i]
	}
	user := func(b *messageBody) string { return b.User }
	return pipe.Take(refs, user, func(b *messageBody) pipe.Answer { return m.handOver(from, b) })
}

// handOver does what a message wants from the sessions of its user.
func (m *messages) handOver(from core.Incarnation, b *messageBody) pipe.Answer {
	if b.Kind == kindAnswer {
		m.answered(b)
		return pipe.Answer{}
	}
	players := m.c.host.User(b.User)
	if len(players) == 0 {
		return pipe.Answer{Result: pipe.Absent}
	}
	var err error
	switch b.Kind {
	case kindPush:
		err = pushAll(players, b.Route, codec.Raw(b.Body))
	case kindKick:
		why := framework.Reason{Code: framework.Code(b.Code), Text: b.Text}
		if !why.Code.Ends() {
			return pipe.Answer{Result: pipe.Refused, Text: fmt.Sprintf("code %d ends no session", b.Code)}
		}
		kickAll(players, why)
	case kindMove:
		err = m.moveAll(players, b.Node, b.Text)
	case kindRequest:
		err = m.request(from, players[len(players)-1], b)
	case kindWhere:
		return pipe.Answer{Detail: attached(players)}
	default:
		return pipe.Answer{Result: pipe.Refused, Text: fmt.Sprintf("kind %d of message is not known", b.Kind)}
	}
	switch {
	case err == nil:
		m.received.Add(1)
		return pipe.Answer{}
	case errors.Is(err, framework.ErrClosed): // it is leaving, or over
		return pipe.Answer{Result: pipe.Absent}
	}
	return pipe.Answer{Result: pipe.Refused, Text: err.Error()}
}

// pushAll pushes to all sessions of a user. The error is ErrClosed if all have ended.
func pushAll(players []*framework.Player, route string, v any) error {
	err := framework.ErrClosed
	for _, p := range players {
		if e := p.Push(route, v); !errors.Is(e, framework.ErrClosed) && (e != nil || err == framework.ErrClosed) {
			err = e
		}
	}
	return err
}

func kickAll(players []*framework.Player, why framework.Reason) {
	for _, p := range players {
		p.KickWith(why)
	}
}

// moveAll sends the sessions of a user to another server.
func (m *messages) moveAll(players []*framework.Player, node uint16, address string) error {
	if node == m.c.me.Node {
		return nil
	}
	for _, p := range players {
		if err := p.Move(address); err != nil {
			return err
		}
	}
	return nil
}

// attached is 1 if one of the sessions of a user has a link, else 0.
func attached(players []*framework.Player) uint64 {
	for _, p := range players {
		if p.Attached() {
			return 1
		}
	}
	return 0
}

var errRequests = errors.New("too many requests of other servers wait for their answers")

// request asks the client of a player for another server.
func (m *messages) request(from core.Incarnation, p *framework.Player, b *messageBody) error {
	if m.requests.Add(1) > maxRequests {
		m.requests.Add(-1)
		return errRequests
	}
	answer, err := m.c.host.Request(p, b.Route, codec.Raw(b.Body))
	if err != nil {
		m.requests.Add(-1)
		return err
	}
	id := b.ID
	limit := min(time.Duration(b.Limit)*time.Millisecond, maxRequestTime)
	go func() { // ends with the answer, or after limit
		defer m.requests.Add(-1)
		ctx, cancel := context.WithTimeout(m.c.ctx, limit)
		defer cancel()
		payload, err := answer(ctx)
		if ctx.Err() != nil {
			return // so is the time of the one that asked
		}
		_, err = m.put(pipe.Address{Server: from}, answerOf(id, payload, err), nil)
		if errors.Is(err, codec.ErrTooLarge) {
			_, _ = m.put(pipe.Address{Server: from}, answerOf(id, nil, err), nil)
		} // else the request ends with its time
	}()
	return nil
}

// maxRequestTime bounds how long a client is waited for.
const maxRequestTime = 5 * time.Minute

// answerOf is the answer to a request on its way back.
func answerOf(id uint64, payload []byte, err error) messageBody {
	b := messageBody{Kind: kindAnswer, ID: id, Body: payload}
	var no *codec.Error
	switch {
	case errors.As(err, &no):
		b.Code, b.Text = uint32(no.Code), no.Text
	case err != nil:
		b.Text = err.Error()
	}
	return b
}

// answered takes the answer to a request of this server.
func (m *messages) answered(b *messageBody) {
	a := pending.Answer{Payload: b.Body}
	switch {
	case b.Code != 0:
		a.Err = &codec.Error{Code: codec.ErrorCode(b.Code), Text: b.Text}
	case b.Text == session.ErrClosed.Error():
		a.Err = framework.ErrClosed
	case b.Text != "":
		a.Err = fmt.Errorf("%w: %s", ErrRefused, b.Text)
	}
	m.settle(b.ID, a)
}
