// SPDX-License-Identifier: MIT

package pipe

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
	"github.com/lifeline-go/lifeline/framework/cluster/internal/sim"
)

// world is some servers in virtual time, with sessions that move between them, a directory
// that knows where, and a network with every fault that a seed can think of. One goroutine
// runs it; it is the same for the same seed.
type world struct {
	sim.World
	course   course
	mutate   mutation
	calm     bool // no new faults
	servers  []*server
	users    []*user
	messages []*simMessage
	gone     uint64 // what servers that are no more had sent again
	err      error
}

// run lets everything happen until end, or until something is wrong.
func (w *world) run(end time.Duration) { w.Run(end, func() bool { return w.err != nil }) }

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// again lets f happen about every d, as long as there are faults.
func (w *world) again(d time.Duration, f func()) {
	if d == 0 {
		return
	}
	w.After(w.Between(d/2, 3*d/2), func() {
		if !w.calm {
			f()
			w.again(d, f)
		}
	})
}

// latency is how long a message takes between servers.
func (w *world) latency() time.Duration {
	if !w.calm && w.Chance(0.1) {
		return w.Between(time.Millisecond, w.course.slow)
	}
	return w.Between(100*time.Microsecond, 2*time.Millisecond)
}

// simMessage is a message, and what came of it.
type simMessage struct {
	Message
	from    *server
	user    *user
	number  int // of those of its sender for its user
	refused bool
	came    int
	ended   bool
	err     error
}

func (m *simMessage) String() string {
	return fmt.Sprintf("%v>%s %d", m.from.inc, m.user.name, m.number)
}

// user is a user and its session, if it has one.
type user struct {
	name    string
	at      core.Incarnation // that the directory names
	parked  bool             // it names none for the moment
	session *server          // that has the session; nil while it is on its way, or dead
	last    map[*server]int  // the number of the last message from a server
}

// server is one incarnation.
type server struct {
	w        *world
	inc      core.Incarnation
	alive    bool // it runs
	leaving  bool // it takes no session any more
	dead     bool // it has a tombstone
	cut      bool // it reaches no other server
	sender   *Sender
	from     map[core.Incarnation]*Receiver
	sent     map[*user]int
	checking bool // a check of lookups is due
}

func (w *world) newServer(node uint16, boot uint32) *server {
	limits := w.course.limits
	if limits == (Limits{}) {
		limits = Default
	}
	s := &server{
		w: w, inc: core.Incarnation{Node: node, Boot: boot}, alive: true,
		sender: NewSender(limits), from: map[core.Incarnation]*Receiver{}, sent: map[*user]int{},
	}
	w.servers = append(w.servers, s)
	w.again(w.course.every, s.chat)
	return s
}

func (w *world) server(i core.Incarnation) *server {
	k := slices.IndexFunc(w.servers, func(s *server) bool { return s.inc == i })
	return w.servers[k]
}

// Status implements core.View.
func (w *world) Status(i core.Incarnation) core.Status {
	if w.server(i).dead {
		return core.Dead
	}
	return core.Up
}

func (w *world) living() (list []*server) {
	for _, s := range w.servers {
		if s.alive && !s.leaving {
			list = append(list, s)
		}
	}
	return list
}

func (w *world) moved() uint64 {
	n := w.gone
	for _, s := range w.servers {
		n += s.sender.Moved()
	}
	return n
}

// chat sends some messages to users.
func (s *server) chat() {
	if !s.alive || s.leaving {
		return
	}
	u := s.w.users[s.w.Rng.IntN(len(s.w.users))]
	for range 1 + s.w.Rng.IntN(s.w.course.burst) {
		s.send(u)
	}
	s.step()
}

func (s *server) send(u *user) {
	m := &simMessage{from: s, user: u, number: s.sent[u] + 1}
	m.Message = Message{To: Address{User: u.name}, Size: 1 + s.w.Rng.IntN(100), Content: m}
	s.sent[u]++
	s.w.messages = append(s.w.messages, m)
	if u.session == s && (!s.sender.Waits(u.name) || s.w.mutate == shortWayOvertakes) {
		s.w.deliver(m, s)
		m.ended = true
		return
	}
	if err := s.sender.Put(&m.Message, s.w.Now); err != nil {
		m.refused = true
		if !errors.Is(err, ErrBackpressure) || s.sender.Bytes() < 1000 {
			s.w.fail("%v: %v with %d bytes waiting", m, err, s.sender.Bytes())
		}
	}
	if l := s.w.course.limits; l.Server > 0 && s.sender.Bytes() > (len(s.w.servers)+1)*l.Server {
		s.w.fail("%v has %d bytes waiting", s.inc, s.sender.Bytes())
	}
}

// deliver hands a message over to the session at s.
func (w *world) deliver(m *simMessage, s *server) {
	m.came++
	w.Note("%v has come at %v", m, s.inc)
	last := m.user.last[m.from]
	switch {
	case m.came > 1:
		w.fail("%v was handed over twice", m)
	case m.number <= last:
		w.fail("%v was handed over after %d", m, last)
	case m.ended && !errors.Is(m.err, ErrUnknown):
		w.fail("%v was handed over after it had ended: %v", m, m.err)
	}
	m.user.last[m.from] = m.number
}

// ended takes what is over.
func (s *server) ended(list []Ended) {
	for _, e := range list {
		m := e.Message.Content.(*simMessage)
		s.w.Note("%v ended: %v", m, e.Err)
		switch {
		case m.ended:
			s.w.fail("%v ended twice: %v and %v", m, m.err, e.Err)
		case e.Err == nil && m.came == 0:
			s.w.fail("%v ended as handed over, and was not", m)
		case e.Err != nil && !errors.Is(e.Err, ErrUnknown) && m.came > 0:
			s.w.fail("%v was handed over, and ended: %v", m, e.Err)
		}
		m.ended, m.err = true, e.Err
	}
}

// step does what the sender wants: what package cluster does around it.
func (s *server) step() {
	if !s.alive {
		return
	}
	for _, to := range s.sender.Wake() {
		s.sendOn(to)
	}
	for {
		name, ok := s.sender.Lookup(s.w.Now)
		if !ok {
			break
		}
		s.lookUp(name)
	}
	if at, ok := s.sender.NextLookup(); ok && !s.checking {
		s.checking = true
		s.w.After(at-s.w.Now, func() {
			s.checking = false
			s.step()
		})
	}
}

func (s *server) lookUp(name string) {
	u := s.w.users[slices.IndexFunc(s.w.users, func(u *user) bool { return u.name == name })]
	read := func() Place {
		e := core.Entry{User: name, Owner: u.at}
		if u.at == (core.Incarnation{}) && !u.parked {
			return Find(nil, name, s.inc, s.w)
		}
		return Find([]core.Entry{e}, name, s.inc, s.w)
	}
	at := read()
	stale := s.w.Chance(s.w.course.stale) && !s.w.calm
	s.w.After(s.w.latency(), func() {
		switch {
		case !s.alive:
			return
		case stale && at.Kind != Nowhere: // what it was before
		case stale:
			at = Place{Kind: Unclear}
		default:
			at = read()
		}
		s.w.Note("%v finds %s: %+v", s.inc, name, at)
		s.ended(s.sender.Located(name, at, s.w.Now))
		s.step()
	})
}

// sendOn sends what waits for another server, until nothing does.
func (s *server) sendOn(to core.Incarnation) {
	if !s.alive {
		return
	}
	w, target := s.w, s.w.server(to)
	if target.dead {
		s.ended(s.sender.Forget(to, w.Now))
		s.step()
		return
	}
	b, wait, ok := s.sender.Next(to, w.Now)
	switch {
	case !ok:
		return
	case wait > 0:
		w.After(wait, func() { s.sendOn(to) })
		return
	}
	answered := false
	over := func(f func() []Ended) {
		if answered || !s.alive {
			return
		}
		answered = true
		s.ended(f())
		s.step()
		s.sendOn(to)
	}
	failed := func(never bool) {
		over(func() []Ended {
			return s.sender.Unanswered(to, b.Number, never || w.mutate == neverReceived, w.Now)
		})
	}
	answer := func(list []Answer) {
		late, number := answered, b.Number
		if w.mutate == answerOfAnother && late && s.sender.pipes[to] != nil {
			number = s.sender.pipes[to].number
		}
		if late { // the caller of package cluster has given up; it does no harm
			s.ended(s.sender.Answered(to, number, list, w.Now))
			s.step()
			return
		}
		over(func() []Ended { return s.sender.Answered(to, number, list, w.Now) })
	}
	s.ask(target, b, answer, failed)
	w.After(b.Wait, func() { failed(false) })
}

// ask brings a batch to another server, once or twice or never, and its answer back.
func (s *server) ask(target *server, b Batch, answer func([]Answer), failed func(never bool)) {
	w := s.w
	times := 1
	if !w.calm && w.Chance(w.course.doubled) {
		times = 2
	}
	for range times {
		if !w.calm && w.Chance(w.course.loss) || s.cut || target.cut {
			continue
		}
		w.After(w.latency(), func() {
			if !target.alive {
				if times == 1 {
					w.After(w.latency(), func() { failed(true) })
				}
				return
			}
			list, ok := target.receive(s.inc, b)
			if !ok || !w.calm && w.Chance(w.course.loss) || s.cut || target.cut {
				return
			}
			w.After(w.latency(), func() { answer(list) })
		})
	}
}

// receive takes a batch of another server.
func (s *server) receive(from core.Incarnation, b Batch) ([]Answer, bool) {
	r := s.from[from]
	if r == nil {
		r = &Receiver{}
		s.from[from] = r
	}
	switch a := r.Arrive(b.Number); {
	case a == Late:
		return nil, false
	case a == Repeated && s.w.mutate != receiverForgets:
		return decodeAnswers(r.Answer()), true
	}
	handOver := func(m *Message) Answer {
		sim := m.Content.(*simMessage)
		if sim.user.session != s {
			return Answer{Result: Absent}
		}
		s.w.deliver(sim, s)
		return Answer{}
	}
	arriving := func(m *Message) { // a session may come in the midst of a batch
		if u := m.Content.(*simMessage).user; u.session == nil && u.at == s.inc && s.w.Chance(0.3) {
			u.session = s
		}
	}
	list := Take(b.Messages, func(m *Message) string {
		arriving(m)
		if s.w.mutate == absentOnlyOnce {
			return fmt.Sprintf("%p", m)
		}
		return m.To.User
	}, handOver)
	r.Took(b.Number, encodeAnswers(list))
	return list, true
}

func encodeAnswers(list []Answer) (b []byte) {
	for _, a := range list {
		b = append(b, byte(a.Result))
	}
	return b
}

func decodeAnswers(b []byte) (list []Answer) {
	for _, r := range b {
		list = append(list, Answer{Result: Result(r)})
	}
	return list
}

// --- what happens to users and servers

// move parks a session. Another server takes it a little later.
func (w *world) move(u *user) {
	if u.session == nil {
		return
	}
	w.Note("%s leaves %v", u.name, u.session.inc)
	u.session = nil
	w.After(w.latency(), func() {
		u.at, u.parked = core.Incarnation{}, true
		w.After(w.Between(time.Millisecond, 300*time.Millisecond), func() { w.take(u) })
	})
}

// take makes a server the owner of a user's session, which is there a little later.
func (w *world) take(u *user) {
	list := w.living()
	s := list[w.Rng.IntN(len(list))]
	u.at, u.parked = s.inc, false
	w.After(w.Between(0, 3*time.Millisecond), func() {
		if u.at == s.inc && s.alive {
			w.Note("%s is at %v", u.name, s.inc)
			u.session = s
		}
	})
}

// logOut ends a session. Its user comes back.
func (w *world) logOut(u *user) {
	if u.session == nil {
		return
	}
	w.Note("%s has left", u.name)
	u.session = nil
	w.After(w.Between(0, time.Second), func() {
		u.at = core.Incarnation{}
		w.After(w.Between(0, 5*time.Second), func() { w.take(u) })
	})
}

func (w *world) anyUser() *user { return w.users[w.Rng.IntN(len(w.users))] }

func (w *world) anyServer() *server {
	list := w.living()
	return list[w.Rng.IntN(len(list))]
}

// leave lets a server move its sessions, and end; the next incarnation starts.
func (w *world) leave() {
	s := w.anyServer()
	if len(w.living()) < 3 {
		return
	}
	w.Note("%v leaves", s.inc)
	s.leaving = true
	var out func()
	out = func() {
		left := false
		for _, u := range w.users {
			if u.at == s.inc {
				left = true
				w.move(u)
			}
		}
		if s.alive && (left || !s.sender.Empty()) {
			w.After(20*time.Millisecond, out)
			return
		}
		w.end(s, 0)
	}
	out()
}

// kill ends a server at once. It is declared dead later, and its users log in anew.
func (w *world) kill() {
	s := w.anyServer()
	if len(w.living()) < 3 {
		return
	}
	w.Note("%v is killed", s.inc)
	w.end(s, w.Between(time.Second, 20*time.Second))
}

func (w *world) end(s *server, declared time.Duration) {
	if !s.alive {
		return
	}
	s.alive = false
	w.gone += s.sender.Moved()
	for _, u := range w.users {
		if u.session == s {
			u.session = nil
		}
	}
	w.After(declared, func() {
		w.Note("%v is dead", s.inc)
		s.dead = true
		for _, u := range w.users {
			if u.at == s.inc {
				u.at = core.Incarnation{}
				w.After(w.Between(0, 3*time.Second), func() { w.take(u) })
			}
		}
		w.newServer(s.inc.Node, s.inc.Boot+1)
	})
}

func (w *world) cut() {
	s := w.anyServer()
	s.cut = true
	w.After(w.Between(100*time.Millisecond, 45*time.Second), func() { s.cut = false })
}

// simulate plays a course by a seed.
func simulate(seed uint64, c course, m mutation, traced bool) *world {
	w := &world{World: sim.New(seed, traced), course: c, mutate: m}
	for i := range c.servers {
		w.newServer(uint16(i+1), 1)
	}
	for i := range c.users {
		u := &user{name: fmt.Sprint("u", i), last: map[*server]int{}}
		w.users = append(w.users, u)
		w.take(u)
	}
	w.again(c.moves, func() { w.move(w.anyUser()) })
	w.again(c.logouts, func() { w.logOut(w.anyUser()) })
	w.again(c.leaves, w.leave)
	w.again(c.kills, w.kill)
	w.again(c.cuts, w.cut)
	w.run(c.length)
	w.calm = true
	w.run(c.length + 120*time.Second)
	w.settled()
	return w
}

// settled checks what must be true when all is over.
func (w *world) settled() {
	for _, s := range w.servers {
		if s.alive && (!s.sender.Empty() || s.sender.Bytes() != 0) {
			w.fail("%v has %d bytes left", s.inc, s.sender.Bytes())
		}
		for to, p := range s.sender.pipes {
			if s.alive && (p.bytes != 0 || p.running) {
				w.fail("%v has %d bytes left for %v, running: %v", s.inc, p.bytes, to, p.running)
			}
		}
	}
	for _, m := range w.messages {
		switch {
		case m.from.alive && !m.ended && !m.refused:
			w.fail("%v did not end, and came %d times", m, m.came)
		case w.course.gentle() && (m.came != 1 || m.err != nil):
			w.fail("%v came %d times: %v", m, m.came, m.err)
		}
	}
}
