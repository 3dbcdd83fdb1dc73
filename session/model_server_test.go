// SPDX-License-Identifier: MIT

package session

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/lifeline-go/lifeline/codec"
)

// What framework does with a session, the model does in one loop.

func (m *model) serverReceive(st *modelState, l *modelLink, p codec.Packet) {
	if l.seat < 0 {
		switch p.Kind {
		case codec.Heartbeat:
		case codec.Hello:
			m.hello(st, l, p)
		case codec.Resume:
			m.resume(st, l, p)
		default:
			m.broken(st, l, ErrKind)
		}
		return
	}
	e := &st.seats[l.seat]
	epoch := l.epoch
	if m.fault == takeOld {
		epoch = e.s.epoch
	}
	m.inbox(st, e)
	ev, err := e.s.Receive(epoch, p, modelNow)
	e.heard = e.heard || e.link == l.nonce
	if err != nil && (err != ErrFenced || e.link == l.nonce) {
		m.broken(st, l, err)
		return
	}
	if _, open := st.table.Opening(e.key); open && e.s.Confirmed() {
		st.tab().ForgetOpening(e.key)
	}
	if ev != Deliver {
		return
	}
	if e.link != l.nonce && !m.outwards {
		st.fail("a packet of link %d is accepted while the session is on %d", l.nonce, e.link)
	}
	if m.fault == acceptLate {
		e.late = p.Body[0]
		return
	}
	m.accepted(st, e, p.Body[0])
}

func (m *model) accepted(st *modelState, e *modelSeat, n uint8) {
	if e.s.state == Closed {
		st.fail("message %d after the end", n)
	}
	if e.got++; n != e.first+e.got {
		st.fail("the server's app sees message %d where %d belongs", n, e.first+e.got)
	}
}

// inbox delivers what the fault acceptLate held back.
func (m *model) inbox(st *modelState, e *modelSeat) {
	if n := e.late; n != 0 {
		e.late = 0
		m.accepted(st, e, n)
	}
}

func (m *model) broken(st *modelState, l *modelLink, err error) {
	if !st.faulty && !m.outwards {
		st.fail("the server ends a link that carried only what was written: %v", err)
	}
	m.hangUp(st, l)
}

// hangUp closes a link at the server.
func (m *model) hangUp(st *modelState, l *modelLink) {
	l.closed, l.up = true, nil
	if l.seat < 0 {
		return
	}
	if e := &st.seats[l.seat]; e.s.Detach(l.epoch, modelNow) {
		e.link, e.late = 0, 0
		m.hook(st, e, 'd')
	}
}

// fence: what the old link still delivers has to find it.
func (m *model) fence(l *modelLink) {
	if l == nil {
		return
	}
	m.write(l, &l.down, AppendBye(nil, &CloseError{Code: TakenOver}))
	l.closed = true
}

func (m *model) bind(st *modelState, i int, l *modelLink, answer []byte) {
	e := &st.seats[i]
	e.link, e.heard, e.over = l.nonce, false, false
	l.seat, l.epoch = int8(i), e.s.epoch
	l.base = uint8(e.s.acked)
	if e.givenUp == 0 {
		l.base = 0
	}
	m.write(l, &l.down, answer)
}

func (m *model) hello(st *modelState, l *modelLink, p codec.Packet) {
	h, err := ParseHello(p)
	if err != nil || h.Nonce != (Nonce{l.nonce}) {
		m.broken(st, l, fmt.Errorf("HELLO: %v", err))
		return
	}
	key, t := h.OpeningKey(), st.tab()
	if !slices.Contains(st.keys, key) {
		st.keys = append(st.keys, key)
	}
	if t.RecordAttempt(key, h.Attempt, modelNow) && m.fault != overtake {
		m.write(l, &l.down, AppendRefused(nil, &CloseError{Code: Stale}))
		return
	}
	if i, ok := t.Opening(key); ok {
		e := &st.seats[i]
		if e.attempt >= h.Attempt || e.s.Confirmed() {
			st.fail("a HELLO that comes late takes the session")
		}
		detached := e.s.state == Detached
		m.fence(st.linkOf(e.link))
		e.s.Reopen(modelNow)
		e.attempt = h.Attempt
		m.bind(st, int(i), l, e.s.AppendWelcome(nil, m.keys.Of(e.s.id), Key{}, nil))
		if detached {
			m.hook(st, e, 'r')
		}
		return
	}
	for i := range st.seats {
		if st.seats[i].key == key && st.seats[i].s.state != Closed {
			st.fail("the game sees one login twice while its session lives")
		}
	}
	n := uint8(len(st.seats))
	st.seats = append(st.seats, modelSeat{key: key, attempt: h.Attempt})
	e := &st.seats[n]
	e.s.Open(&m.shard, ID{n + 1}, modelNow)
	t.Put(e.s.id, "user", n)
	t.SetOpening(key, n)
	m.bind(st, int(n), l, e.s.AppendWelcome(nil, m.keys.Of(e.s.id), Key{}, nil))
	m.hook(st, e, 'o')
}

func (m *model) resume(st *modelState, l *modelLink, p codec.Packet) {
	r, err := ParseResume(p)
	if err != nil {
		m.broken(st, l, err)
		return
	}
	// A deep copy: a RESUME that is refused must leave no trace in it.
	before := st.clone()
	epochs := m.decide(st, l, r)
	if !epochs {
		for i := range st.seats {
			if !reflect.DeepEqual(st.seats[i], before.seats[i]) {
				st.fail("a RESUME that was refused changed the session: %v", difference(reflect.ValueOf(before.seats[i]), reflect.ValueOf(st.seats[i])))
			}
		}
		for i := range st.links {
			a, b := st.links[i], before.links[i]
			if a.down = nil; a.nonce == l.nonce { // has its answer
				b.down = nil
			} else {
				a.down = st.links[i].down
			}
			if !reflect.DeepEqual(a, b) {
				st.fail("a RESUME that was refused changed link %d", a.nonce)
			}
		}
		if !reflect.DeepEqual(*st.table, *before.table) {
			st.fail("a RESUME that was refused changed the table")
		}
	}
}

// decide answers a RESUME and reports whether it made a new epoch.
func (m *model) decide(st *modelState, l *modelLink, r *ResumeRequest) bool {
	refuse := func(why *CloseError) bool {
		m.write(l, &l.down, AppendRefused(nil, why))
		return false
	}
	i, ok := st.table.Get(r.ID)
	if ok && m.fault == fenceFirst && st.seats[i].link != l.nonce {
		m.fence(st.linkOf(st.seats[i].link))
	}
	if !m.keys.Verify(r, Nonce{l.nonce}) {
		if ok && m.fault == countRefused {
			st.seats[i].s.attempt = max(st.seats[i].s.attempt, r.Attempt)
		}
		return refuse(&CloseError{Code: Unknown})
	}
	if !ok {
		if stone, ok := st.table.Tombstone(r.ID, modelNow); ok {
			return refuse(stone.Refusal())
		}
		return refuse(&CloseError{Code: Unknown})
	}
	e := &st.seats[i]
	s := &e.s
	switch {
	case m.fault == lockOut && s.attempt > 0 && !s.confirmed:
		return refuse(&CloseError{Code: Stale, Detail: s.attempt})
	case m.fault == redeliver && s.recv > 0:
		s.recv--
	case m.fault == zeroCount:
		s.recv = 0
	}
	attached := s.state == Attached
	answer, reset, refusal := s.Resume(nil, r, modelNow)
	if refusal != nil {
		if refusal.Code == Inconsistent {
			st.fail("an honest client's counts contradict the server's")
		}
		return refuse(refusal)
	}
	if r.Attempt <= e.attempt || l.nonce != uint8(r.Attempt) {
		st.fail("attempt %d is accepted on link %d after %d", r.Attempt, l.nonce, e.attempt)
	}
	if !reset && s.acked != r.Recv && !m.outwards {
		st.fail("the session resumes behind %d, the client told %d", s.acked, r.Recv)
	}
	if m.fault == trimOne && s.out.len() > 0 {
		s.trim(&s.shard.Pool, s.acked+1)
	}
	e.attempt, e.late = r.Attempt, 0
	if attached || m.fault == detachTwice {
		m.hook(st, e, 'd')
		m.fence(st.linkOf(e.link))
	}
	st.tab().ForgetOpening(e.key)
	if reset {
		e.givenUp = max(e.givenUp, e.sent)
	}
	m.bind(st, int(i), l, answer)
	m.hook(st, e, 'r')
	return true
}

// repeat is a RESUME that comes once more.
func (m *model) repeat(st *modelState, l *modelLink) {
	switch {
	case l == nil: // by somebody who recorded it, on a link of his own
		epochs := make([]uint32, len(st.seats))
		for i := range st.seats {
			epochs[i] = st.seats[i].s.epoch
		}
		m.resume(st, &modelLink{nonce: 0xff, seat: -1}, parse(st.resume))
		for i := range st.seats {
			if st.seats[i].s.epoch != epochs[i] {
				st.fail("a stranger took the session")
			}
		}
	case len(l.up) > 0 && kindOf(l.up[0]) == codec.Resume:
		l.up, st.faulty = append([][]byte{l.up[0]}, l.up...), true
	default:
		st.faulty = st.faulty || l.seat >= 0
		m.serverReceive(st, l, parse(st.resume))
	}
}

func (m *model) serverSend(st *modelState, e *modelSeat) {
	full := e.over || e.s.out.len() >= m.cfg.SendPackets
	switch err := e.s.Send(codec.Message, []byte{e.sent + 1}, true, modelNow); {
	case err == nil:
		e.sent++
	case err == ErrOverflow && full:
		if !e.over {
			e.sent++ // what finds no room is given up as well
		}
		e.over, e.givenUp = true, e.sent
		if l := st.linkOf(e.link); l != nil {
			m.hangUp(st, l)
		}
	default:
		st.fail("the server's Send: %v", err)
	}
}

func (m *model) expire(st *modelState) {
	for i := range st.seats {
		if s := &st.seats[i].s; s.state == Detached {
			if v := s.Check(s.Due(), 0); v != Lapsed {
				st.fail("the verdict at the end of the grace is %d", v)
			}
			m.close(st, i, Expired)
			return
		}
	}
}

func (m *model) close(st *modelState, i int, code Code) {
	e := &st.seats[i]
	if !e.s.Close(code) {
		st.fail("closed twice")
	}
	t := st.tab()
	t.ForgetOpening(e.key)
	t.Remove(e.s.id, "user", Tombstone{Code: code, Recv: e.s.recv}, modelNow)
	if m.fault == noTombstone {
		delete(t.tombstones, e.s.id)
	}
	if l := st.linkOf(e.link); l != nil {
		m.write(l, &l.down, AppendBye(nil, &CloseError{Code: code}))
		l.closed, l.up = true, nil
	}
	e.link, e.cause, e.late = 0, code, 0
	m.hook(st, e, 'c')
}

// hook: open once and first, close once and last, detach and resume by turns.
func (m *model) hook(st *modelState, e *modelSeat, h byte) {
	ok := false
	switch h {
	case 'o':
		ok = e.hook == 0
	case 'd':
		ok = e.hook == 'o' || e.hook == 'r'
	case 'r':
		ok = e.hook == 'd'
	case 'c':
		ok = e.hook != 0 && e.hook != 'c'
	}
	if !ok {
		st.fail("hook %c after %c", h, e.hook)
	}
	e.hook = h
}
