// SPDX-License-Identifier: MIT

package session

import (
	"slices"

	"github.com/lifeline-go/lifeline/codec"
)

// step does what the adversary chose, and then what both ends do at once.
func (m *model) step(st *modelState, ch modelChoice) {
	defer func() {
		if r := recover(); r != nil {
			st.fail("panic: %v", r)
		}
	}()
	m.at = st
	if ch.act < unbounded && st.left[ch.act] > 0 { // a fair continuation has no budget
		st.left[ch.act]--
	}
	l := st.linkOf(ch.link)
	switch ch.act {
	case clientSends:
		if err := st.c.Send(codec.Message, []byte{st.first + st.sent + 1}); err != nil {
			st.fail("client's Send: %v", err)
		}
		st.sent++
	case serverSends:
		m.serverSend(st, st.live())
	case dials:
		m.dial(st)
	case cuts:
		l.cut, l.up, l.down = true, nil, nil
		l.closed = l.closed || l.seat < 0 // its opening deadline
	case losesReply, swallowsDown:
		l.down, st.faulty = l.down[1:], true
	case swallowsUp:
		l.up, st.faulty = l.up[1:], true
	case kicks:
		m.close(st, len(st.seats)-1, Kicked)
	case expires:
		m.expire(st)
	case repeats:
		m.repeat(st, l)
	case pings:
		st.c.pingDue = true // as Check does when the next beat is due
		st.pinged++
	case reaches:
		f := l.up[0]
		l.up = l.up[1:]
		m.serverReceive(st, l, parse(f))
	case comesBack:
		f := l.down[0]
		l.down = l.down[1:]
		m.clientReceive(st, parse(f))
	case clientLeaves:
		m.leave(st, l)
		st.c.LinkDown(modelNow)
	case serverLeaves:
		m.hangUp(st, l)
	}
	m.pump(st)
	m.check(st)
}

// pump lets both ends write, and the client do what is due.
func (m *model) pump(st *modelState) {
	for again := true; again; {
		m.learn(st)
		if st.c.state == Waiting {
			st.c.dialAt = modelNow + modelNow // the adversary dials
		}
		again = false
		if l := st.linkOf(st.link); l != nil && !l.left {
			m.write(l, &l.up, st.c.Output(nil, modelNow, 1<<20))
			if n := len(l.up); n > 0 && st.left[repeats] > 0 && kindOf(l.up[n-1]) == codec.Resume {
				st.resume, st.origin = l.up[n-1], l.nonce
			}
		}
		switch st.c.Check(modelNow, modelWall) {
		case Cut:
			if l := st.linkOf(st.link); l != nil {
				m.leave(st, l)
			}
			again = true
		case Dial:
			st.fail("the client dials by itself")
		}
	}
	for i := range st.links {
		l := &st.links[i]
		if l.seat < 0 {
			continue
		}
		e := &st.seats[l.seat]
		epoch := l.epoch
		if m.fault == writeToOld {
			epoch = e.s.epoch
		}
		b := e.s.Output(nil, epoch, modelNow, 1<<20)
		if len(b) > 0 && e.link != l.nonce && !m.outwards {
			st.fail("the session writes to link %d and is on %d", l.nonce, e.link)
		}
		if m.fault == forgetWakeUp && e.s.epoch > 1 {
			continue
		}
		m.write(l, &l.down, b)
	}
	st.links = slices.DeleteFunc(st.links, func(l modelLink) bool {
		over := l.left && l.closed && len(l.up) == 0
		if over && l.seat >= 0 && st.seats[l.seat].s.Detach(l.epoch, modelNow) {
			st.fail("the end of link %d, long closed, detaches the session", l.nonce)
		}
		return over
	})
}

// write puts whole frames on a link.
func (m *model) write(l *modelLink, to *[][]byte, b []byte) {
	for len(b) > 0 {
		_, n, err := codec.ParseFrame(b, 1<<20)
		if err != nil || n == 0 {
			panic("an end wrote what is no frame")
		}
		if !l.cut && (to == &l.up && !l.closed || to == &l.down && (!l.left || m.fault == readOld)) {
			*to = append(*to, b[:n:n])
		}
		b = b[n:]
	}
}

func (m *model) dial(st *modelState) {
	st.c.dialAt = modelNow
	if got := st.c.Check(modelNow, modelWall); got != Dial {
		st.fail("a waiting client wants %v instead of dialling", got)
		return
	}
	st.dialled++
	st.failed++
	st.links = append(st.links, modelLink{nonce: st.dialled, seat: -1})
	l := &st.links[len(st.links)-1]
	st.link = l.nonce
	st.c.LinkUp(modelNow, modelWall, false)
	m.write(l, &l.down, AppendGreeting(nil, Nonce{l.nonce}))
}

func (m *model) leave(st *modelState, l *modelLink) {
	l.left, l.closed, st.link = true, l.closed || l.cut && l.seat < 0, 0
	if m.fault != readOld {
		l.down = nil
	}
}

func (m *model) clientReceive(st *modelState, p codec.Packet) {
	l := st.linkOf(st.link)
	deliver, err := st.c.Receive(p, modelNow)
	m.learn(st)
	if err != nil {
		if !st.faulty && !m.outwards {
			st.fail("the client ends a link that carried only what was written: %v: %v", p.Kind, err)
		}
		if l != nil {
			m.leave(st, l)
		}
		st.c.LinkDown(modelNow)
	}
	if !deliver {
		return
	}
	if st.seat < 0 {
		st.fail("the client's app gets a message without a session")
		return
	}
	e := &st.seats[st.seat]
	if e.seen++; p.Body[0] != e.base+e.seen || p.Body[0] > e.sent {
		st.fail("the client's app sees message %d where %d belongs", p.Body[0], e.base+e.seen)
	}
}

// learn holds what the client tells its app against what happened.
func (m *model) learn(st *modelState) {
	for _, ch := range st.c.Changes() {
		l := st.linkOf(st.link)
		switch ch.Kind {
		case Opened:
			i := int8(st.c.id[0]) - 1
			e := &st.seats[i]
			if st.seat >= 0 || e.opened {
				st.fail("the session is opened twice")
			}
			st.seat, st.failed, e.opened, e.first, e.base, e.seen = i, 0, true, st.first, l.base, 0
		case Resumed:
			if st.failed = 0; st.c.acked != uint64(st.seats[st.seat].got) && !m.outwards {
				st.fail("the client resumes behind %d, the server's app saw %d", st.c.acked, st.seats[st.seat].got)
			}
		case WasReset:
			e := &st.seats[st.seat]
			if e.givenUp == 0 {
				st.fail("RESET although nothing overflowed: %v", ch.Err)
			}
			st.failed, e.base, e.seen = 0, l.base, 0
		case Ending:
			m.ended(st, ch)
		}
	}
}

// ended: a session ends only if there is a reason, and what was accepted and
// what is reported as undelivered are all that was sent.
func (m *model) ended(st *modelState, ch Change) {
	if m.fault == forgetLost && len(ch.Undelivered) > 0 {
		ch.Undelivered = ch.Undelivered[1:]
	}
	n, last := uint8(len(ch.Undelivered)), st.first+st.sent
	for i, u := range ch.Undelivered {
		if u.Body[0] != last-n+uint8(i)+1 {
			st.fail("message %d is reported undelivered where %d belongs", u.Body[0], last-n+uint8(i)+1)
		}
	}
	var cause Code
	var got uint8
	if st.seat >= 0 {
		cause, got = st.seats[st.seat].cause, st.seats[st.seat].got
	} else if l := st.linkOf(st.link); l != nil && l.seat >= 0 {
		cause = st.seats[l.seat].cause // the client never heard of it
	}
	switch {
	case cause == Kicked && ch.Err.Code == Kicked && st.c.state == Ended:
	case cause == Expired && ch.Err.Code == Gone && got+n == st.sent:
	case ch.Err.Code == Unknown && !ch.Err.Remote && st.failed >= 3:
	default:
		st.fail("the client gives up a session that ended with code %d: %v, of %d sent %d were accepted and %d are reported", cause, ch.Err, st.sent, got, n)
	}
	if got+n < st.sent {
		st.fail("of %d sent %d were accepted and only %d are reported undelivered", st.sent, got, n)
	}
	st.seat, st.first, st.sent, st.failed = -1, last, 0, 0
}
