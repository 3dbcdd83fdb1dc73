// SPDX-License-Identifier: MIT

package core

import (
	"encoding/binary"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// What a node of the world does for clients, and for other nodes that ask.

// answer is what a client is told on its link.
type answer struct {
	kind    answerKind
	id      session.ID
	recv    uint64
	restart bool
	to      *node
	wait    time.Duration
}

type answerKind uint8

const (
	welcome answerKind = iota
	resumed
	refusedBusy
	refusedMoved
	refusedUnknown
	refusedPresent
	byeTakenOver
	byeMoved
	byeGone
	ack
)

func (n *node) tell(c *client, link int, a answer) {
	if link == 0 || n.w.Now < n.stopped {
		return
	}
	n.w.After(n.w.Latency(), func() { c.hear(link, a) })
}

// encode is the record of a session.
func (s *simSession) encode() []byte {
	b := binary.LittleEndian.AppendUint64(nil, s.recv)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.attempt))
	if s.restart {
		b = append(b, 1)
	}
	return b
}

func (n *node) restored(id session.ID, v Verdict, c *client) *simSession {
	s := &simSession{id: id, user: c.user, c: c}
	s.recv = binary.LittleEndian.Uint64(v.Record)
	s.attempt = int(binary.LittleEndian.Uint64(v.Record[8:]))
	s.restart = len(v.Record) > 16
	return s
}

// login is a HELLO that was heard, and what came of it. One that is repeated is the same
// login: its first link is lost, and the new one gets the answer.
type login struct {
	helloRequest
	link int
	id   session.ID // of the session that it has opened
}

// repeated answers a HELLO that belongs to a login that is known here, or is late.
func (n *node) repeated(c *client, link int, h helloRequest) bool {
	at := n.logins[c]
	switch {
	case at == nil || h.opening > at.opening:
		return false
	case h.opening < at.opening || h.attempt <= at.attempt: // over a link that was left
		return true
	}
	s := n.sessions[at.id]
	if at.id != (session.ID{}) && s == nil {
		return false // it has ended
	}
	at.attempt, at.link = h.attempt, link
	if s != nil {
		s.link = link
		n.tell(c, link, answer{kind: welcome, id: s.id})
	}
	return true
}

func (n *node) hello(c *client, link int, h helloRequest) {
	if n.acting() && n.repeated(c, link, h) {
		return
	}
	if !n.acting() || n.draining {
		n.tell(c, link, answer{kind: refusedBusy, wait: time.Second})
		return
	}
	at := &login{helloRequest: h, link: link}
	n.logins[c] = at
	refuse := func(a answer) {
		if n.logins[c] == at {
			delete(n.logins, c)
		}
		n.tell(c, at.link, a)
	}
	var seed [4]byte
	binary.LittleEndian.PutUint32(seed[:], n.w.Rng.Uint32())
	id, _ := session.NewUserID(n.inc.Node, n.inc.Boot, session.Secret{1}.UserHash(c.user), &fixed{seed[:]})
	n.holdings.Arrive(id)
	n.run(NewClaim(n.inc, id, c.user, []byte(c.user), n.w.course.policy, &n.holdings), func(v Verdict) {
		if v.Result != Granted || !n.acting() || n.draining {
			n.release(id)
			kind := refusedBusy
			if v.Result == AlreadyIn {
				kind = refusedPresent
			}
			refuse(answer{kind: kind, wait: max(v.Wait, time.Second)})
			return
		}
		for old, s := range n.sessions {
			if s.user == c.user && n.w.course.policy != Allow {
				if n.w.course.policy == Reject && s.link != 0 {
					n.release(id)
					refuse(answer{kind: refusedPresent})
					return
				}
				n.end(old, byeTakenOver)
			}
		}
		n.holdings.Hold(id, v.Gen)
		n.sessions[id] = &simSession{id: id, user: c.user, c: c, link: at.link}
		at.id = id
		n.w.Note("%v opens %v of %s", n.inc, id, c.user)
		n.w.check("a login")
		n.tell(c, at.link, answer{kind: welcome, id: id})
	})
}

// release gives up what may stand in the directory for an id, until that is sure.
func (n *node) release(id session.ID) {
	n.run(NewRelease(n.inc, id), func(v Verdict) {
		if v.Result == Released {
			n.holdings.Forget(id)
			return
		}
		n.again(func() { n.release(id) })
	})
}

// again runs f a little later, if the process still lives then.
func (n *node) again(f func()) {
	boot := n.inc.Boot
	n.w.After(300*time.Millisecond, func() { n.deliver(boot, f) })
}

func (n *node) resume(c *client, link int, r resumeRequest) {
	if !n.acting() && !(n.w.mutate == aloneLetsIn && n.serving()) {
		n.tell(c, link, answer{kind: refusedBusy, wait: time.Second})
		return
	}
	if s := n.sessions[r.id]; s != nil {
		n.attach(s, c, link, r)
		return
	}
	if n.draining || !n.holdings.Arrive(r.id) {
		n.tell(c, link, answer{kind: refusedBusy, wait: 200 * time.Millisecond})
		return
	}
	at, told := n.told[r.id]
	f := Find{
		Me: n.inc, Session: r.id, Policy: n.w.course.policy, Redirected: told && n.w.Now-at < 30*time.Second,
		Dialable: func(i Incarnation) bool { return i.Node%3 != 0 },
	}
	if n.w.course.reopen {
		f.Orphan = func(user string, login []byte) []byte {
			if user != c.user || string(login) != user {
				n.w.oracle.fail("the entry of %v is of %q, with %q", r.id, user, login)
			}
			return (&simSession{recv: r.lowest - 1, attempt: r.attempt - 1, restart: true}).encode()
		}
	}
	n.run(NewFind(f), func(v Verdict) { n.found(c, link, r, v) })
}

func (n *node) found(c *client, link int, r resumeRequest, v Verdict) {
	switch v.Result {
	case Taken:
		n.holdings.Hold(r.id, v.Gen)
		s := n.restored(r.id, v, c)
		n.sessions[r.id] = s
		n.w.Note("%v takes %v, gen %d, recv %d", n.inc, r.id, v.Gen, s.recv)
		n.w.check("a take")
		if !n.acting() {
			n.tell(c, link, answer{kind: refusedBusy, wait: time.Second})
			return
		}
		n.attach(s, c, link, r)
		return
	case Mine:
		n.release(r.id)
		n.tell(c, link, answer{kind: refusedUnknown})
		return
	}
	n.holdings.Forget(r.id)
	switch v.Result {
	case Redirect:
		n.told[r.id] = n.w.Now
		n.tell(c, link, answer{kind: refusedMoved, to: n.w.nodeOf(v.To)})
	case Missing, Superseded:
		n.tell(c, link, answer{kind: refusedUnknown})
	default:
		n.tell(c, link, answer{kind: refusedBusy, wait: max(v.Wait, 100*time.Millisecond)})
	}
}

func (w *world) nodeOf(i Incarnation) *node {
	for _, n := range w.nodes {
		if n.inc.Node == i.Node {
			return n
		}
	}
	return nil
}

// attach answers a RESUME of a session that is here.
func (n *node) attach(s *simSession, c *client, link int, r resumeRequest) {
	if r.attempt <= s.attempt {
		return
	}
	s.attempt, s.link, s.c = r.attempt, link, c
	if !s.restart && r.lowest > s.recv+1 {
		n.w.oracle.fail("%v at %v: the client has dropped up to %d, and %d was accepted", r.id, n.inc, r.lowest-1, s.recv)
	}
	n.tell(c, link, answer{kind: resumed, recv: s.recv, restart: s.restart})
}

// data takes a packet.
func (n *node) data(id session.ID, link int, number, payload uint64, knows bool) {
	s := n.sessions[id]
	if !n.serving() || s == nil || s.link != link {
		return
	}
	if knows {
		s.restart = false
	}
	if s.restart {
		return
	}
	if number == s.recv+1 {
		s.recv++
		n.w.oracle.accept(n, s, payload)
		if !n.acting() {
			n.w.alone++
		}
	}
	n.tell(s.c, link, answer{kind: ack, recv: s.recv})
}

// end ends a session, and gives its entry up.
func (n *node) end(id session.ID, why answerKind) {
	s := n.sessions[id]
	if !n.holdings.End(id) || s == nil {
		return
	}
	delete(n.sessions, id)
	n.w.Note("%v ends %v", n.inc, id)
	n.tell(s.c, s.link, answer{kind: why})
	n.release(id)
}

// park gives a session to the node that asks for it.
func (n *node) park(id session.ID) {
	s := n.sessions[id]
	gen, ok := n.holdings.Park(id)
	if !ok || s == nil {
		return
	}
	delete(n.sessions, id) // its link is fenced
	record := s.encode()
	n.parkUntilDone(s, gen, record)
}

func (n *node) parkUntilDone(s *simSession, gen uint64, record []byte) {
	n.run(NewPark(n.inc, s.id, gen, record), func(v Verdict) {
		switch v.Result {
		case Parked:
			n.w.Note("%v has parked %v, gen %d, recv %d", n.inc, s.id, gen, s.recv)
			n.holdings.Forget(s.id)
			n.tell(s.c, s.link, answer{kind: byeMoved})
		case Fenced:
			n.holdings.Forget(s.id)
			n.tell(s.c, s.link, answer{kind: byeGone})
		default:
			n.again(func() { n.parkUntilDone(s, gen, record) })
		}
	})
}

// drain lets all clients go, and then the node.
func (n *node) drain() {
	if !n.alive || n.draining || !n.joined {
		return
	}
	n.w.Note("%v drains", n.inc)
	n.draining = true
	n.describe(n.inc.Boot)
	n.drainOn()
}

func (n *node) drainOn() {
	for _, c := range n.w.clients {
		n.park(c.id)
	}
	for id := range n.sessions { // of clients that are elsewhere
		if len(n.sessions) == 1 {
			n.park(id)
		}
	}
	if n.holdings.Len() == 0 {
		n.lease.Leave()
		return
	}
	n.again(n.drainOn)
}

// asked answers a question of another node. A node without a lease says nothing.
func (n *node) asked(q Question) (Answer, bool) {
	if !n.acting() {
		return 0, false
	}
	switch n.holdings.Ask(q) {
	case EndIt:
		if s := n.sessions[q.Session]; s != nil && q.Policy == Reject && s.link != 0 {
			return Present, true
		}
		n.end(q.Session, byeTakenOver)
	case ParkIt:
		n.park(q.Session)
	case SayHere:
		return Here, true
	case GiveBack:
		if n.holdings.Arrive(q.Session) {
			n.run(NewUnpark(n.inc, q.Session), func(Verdict) { n.holdings.Forget(q.Session) })
		}
	}
	return Working, true
}

type fixed struct{ b []byte }

func (f *fixed) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = f.b[i%len(f.b)]
	}
	return len(b), nil
}
