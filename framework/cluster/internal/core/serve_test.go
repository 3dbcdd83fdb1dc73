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
	b = binary.LittleEndian.AppendUint64(b, uint64(s.life))
	b = binary.LittleEndian.AppendUint64(b, s.played)
	if s.restart {
		b = append(b, 1)
	}
	return b
}

// decode reads what encode wrote.
func decode(id session.ID, record []byte, c *client) *simSession {
	s := &simSession{id: id, user: c.user, c: c}
	s.recv = binary.LittleEndian.Uint64(record)
	s.attempt = int(binary.LittleEndian.Uint64(record[8:]))
	s.life = int(binary.LittleEndian.Uint64(record[16:]))
	s.played = binary.LittleEndian.Uint64(record[24:])
	s.restart = len(record) > 32
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
	op := NewClaim(n.inc, id, c.user, []byte(c.user), n.w.course.policy, &n.holdings)
	n.runTaking(op, func(v Verdict) {
		if v.Result != Granted || !n.acting() {
			n.release(id)
			kind := refusedBusy
			if v.Result == AlreadyIn {
				kind = refusedPresent
			}
			refuse(answer{kind: kind, wait: max(v.Wait, time.Second)})
			return
		}
		n.holdings.Grant(id, v.Gen)
		n.w.oracle.owns(n, id, v.Gen)
		n.soon(func() { n.land(at, c, id, v.Record, refuse) })
	})
}

// soon runs f when the loop of a session gets to it.
func (n *node) soon(f func()) {
	if n.w.course.policy != Adopt {
		f()
		return
	}
	boot := n.inc.Boot
	n.w.After(n.w.Between(0, 20*time.Millisecond), func() { n.deliver(boot, f) })
}

// gives reports that a session of a user is on its way from here.
func (n *node) gives(user string) bool {
	for _, s := range n.inHand {
		if s.user == user && n.holdings.Parking(s.id) {
			return true
		}
	}
	return false
}

// land opens the session of a login that was granted. record is of what it adopts, nil without.
func (n *node) land(at *login, c *client, id session.ID, record []byte, refuse func(answer)) {
	n.w.check("a claim")
	leave := func(kind answerKind) {
		n.holdings.End(id)
		n.release(id)
		refuse(answer{kind: kind, wait: time.Second})
	}
	if n.draining || n.w.course.policy == Adopt && n.gives(c.user) {
		leave(refusedBusy)
		return
	}
	s := &simSession{id: id, user: c.user, c: c, link: at.link}
	for old, other := range n.sessions {
		if other.user != c.user || n.w.course.policy == Allow {
			continue
		}
		if n.w.course.policy == Reject && other.link != 0 {
			leave(refusedPresent)
			return
		}
		s.life, s.played = other.life, other.played // it counts with Adopt alone
		n.end(old, byeTakenOver)
	}
	var from *simSession
	if record != nil {
		from = decode(id, record, c)
	}
	switch {
	case from != nil && from.life != 0 && s.life != 0:
		n.w.oracle.fail("%v adopts a life of %s, and has %d", n.inc, c.user, s.life)
	case from != nil && from.life != 0: // else it was to be reopened, and there is nothing to adopt
		s.life, s.played = from.life, from.played
		n.w.oracle.goesOn(n, s)
	case s.life == 0:
		s.life = n.w.oracle.begin(n, c.user)
	}
	n.sessions[id] = s
	for _, adopted := range n.holdings.Open(id) {
		n.release(adopted)
		n.w.oracle.adoptions++
	}
	at.id = id
	n.w.Note("%v opens %v of %s, life %d", n.inc, id, c.user, s.life)
	n.w.check("a login")
	n.tell(c, at.link, answer{kind: welcome, id: id})
}

// seen is what an operation knows of the node's holdings: nothing, if m is planted.
func (n *node) seen(m mutation) *Holdings {
	if n.w.mutate == m {
		return &Holdings{}
	}
	return &n.holdings
}

// release gives up what may stand in the directory for an id, until that is sure.
func (n *node) release(id session.ID) {
	n.run(NewRelease(n.inc, id, n.seen(adoptedKept)), func(v Verdict) {
		if v.Result == Released {
			n.holdings.Forget(id)
			return
		}
		n.again(func() { n.release(id) })
	})
}

// giveBack gives up what was perhaps taken, and is not here, until that is sure.
func (n *node) giveBack(id session.ID) {
	n.run(NewUnpark(n.inc, id), func(v Verdict) {
		if v.Result == Released {
			n.holdings.Forget(id)
			return
		}
		n.again(func() { n.giveBack(id) })
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
			return (&simSession{recv: r.lowest - 1, attempt: r.attempt - 1, restart: true}).encode() // without its life
		}
	}
	op := NewFind(f)
	n.runTaking(op, func(v Verdict) { n.found(c, link, r, op, v) })
}

func (n *node) found(c *client, link int, r resumeRequest, op *Op, v Verdict) {
	switch v.Result {
	case Taken:
		n.holdings.Hold(r.id, v.Gen)
		n.w.oracle.owns(n, r.id, v.Gen)
		s := decode(r.id, v.Record, c)
		if s.life == 0 { // reopened
			s.life = n.w.oracle.begin(n, c.user)
		}
		n.sessions[r.id] = s
		n.w.oracle.goesOn(n, s)
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
	if op.Tried() && v.Result == Busy && n.w.mutate != takenInVain {
		n.giveBack(r.id)
	} else {
		n.holdings.Forget(r.id)
	}
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
		s.played++
		n.w.oracle.played(s)
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
	if s := n.sessions[id]; s != nil && n.holdings.Gen(id) != 0 {
		delete(n.sessions, id) // its link is fenced
		n.leave(s)
	}
}

// leave gives a session to others that is held, and has no link.
func (n *node) leave(s *simSession) {
	gen, _ := n.holdings.Park(s.id)
	n.inHand[s.id] = s
	n.parkUntilDone(s, gen, s.encode())
}

func (n *node) parkUntilDone(s *simSession, gen uint64, record []byte) {
	n.run(NewPark(n.inc, s.id, gen, record, n.seen(parkedBesideLogin)), func(v Verdict) {
		if v.Result != Parked && v.Result != Fenced {
			n.again(func() { n.parkUntilDone(s, gen, record) })
			return
		}
		delete(n.inHand, s.id)
		n.holdings.Forget(s.id)
		kind := byeGone
		if v.Result == Parked {
			n.w.Note("%v has parked %v, gen %d, recv %d", n.inc, s.id, gen, s.recv)
			kind = byeMoved
		}
		n.tell(s.c, s.link, answer{kind: kind})
		n.w.checkLives("a park")
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
			n.giveBack(q.Session)
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
