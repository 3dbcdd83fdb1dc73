// SPDX-License-Identifier: MIT

package pipe

import (
	"fmt"
	"maps"
	"time"

	"github.com/lifeline-go/lifeline/framework/cluster/internal/core"
)

// Sender has all messages that are on their way from this server. What waits for one user
// is a lane, what goes to one server a pipe. A lane is in one pipe at most, and a pipe has
// one batch under way at most. So what is sent to a user stays in order, whatever moves,
// is lost, or comes twice. Make it with NewSender.
//
// Its caller asks Wake for the pipes that have something to send, and Lookup for the users
// whose server is to be found. It calls Answered, Unanswered and Located with what came of
// that, and Forget when a server is dead. Each returns the messages that are over.
type Sender struct {
	limits   Limits
	lanes    map[Address]*lane
	pipes    map[core.Incarnation]*pipe
	waiting  laneHeap // lanes without a pipe, by when they are looked up
	unplaced int      // bytes in lanes without a pipe
	placed   int      // bytes in all others
	woken    []core.Incarnation
	known    guesses
	moved    uint64
}

// lane is what waits for one Address. There is none for an Address that nothing waits for.
type lane struct {
	to     Address
	queue  []*Message
	flying int // so many of queue are in the batch that is under way
	bytes  int
	pipe   *pipe // nil: its server is being looked up
	ready  bool  // in pipe.ready

	due     time.Duration // of the next lookup
	index   int           // in Sender.waiting; -1 while it is looked up
	absent  int           // times in a row that the server had no session of the user
	waits   int           // lookups in a row that found no server
	nowhere bool          // the last one found no session at all
}

// pipe is what goes to one incarnation of a server.
type pipe struct {
	to      core.Incarnation
	bytes   int
	ready   []*lane // with messages for the next batch, in their turn
	running bool    // the caller was told to call Next

	// The batch that is under way, or was last.
	number  uint64
	open    bool // there is one
	flying  []*lane
	batch   []*Message
	size    int           // in messages
	first   time.Duration // when it was sent first
	due     time.Duration // when it is sent again
	fails   int           // tries that were not answered
	asking  bool          // a try is under way
	perhaps bool          // one that was not answered may have been received
}

// NewSender returns one that has no message.
func NewSender(l Limits) *Sender {
	return &Sender{limits: l, lanes: map[Address]*lane{}, pipes: map[core.Incarnation]*pipe{}}
}

// Put takes a message, or refuses it by ErrBackpressure.
func (s *Sender) Put(m *Message, now time.Duration) error {
	l := s.lanes[m.To]
	p, bytes := s.pipeOf(l, m.To), s.unplaced
	if p != nil {
		bytes = p.bytes
	}
	if bytes+m.Size > s.limits.Server || l != nil && l.bytes+m.Size > s.limits.User {
		return ErrBackpressure
	}
	m.put = now
	if l == nil {
		l = &lane{to: m.To, index: -1}
		s.lanes[m.To] = l
		if p != nil {
			s.attach(l, p)
		} else {
			s.lookUp(l, now)
		}
	}
	l.queue = append(l.queue, m)
	s.count(l, m.Size)
	s.makeReady(l)
	return nil
}

// pipeOf returns the pipe that a lane is in, or a new one would be put into.
func (s *Sender) pipeOf(l *lane, to Address) *pipe {
	if l != nil {
		return l.pipe
	}
	at := to.Server
	if at == (core.Incarnation{}) {
		at = s.known.get(to.User)
	}
	if at == (core.Incarnation{}) {
		return nil
	}
	return s.pipe(at)
}

func (s *Sender) pipe(to core.Incarnation) *pipe {
	p := s.pipes[to]
	if p == nil {
		p = &pipe{to: to}
		s.pipes[to] = p
	}
	return p
}

// count changes how many bytes wait in a lane.
func (s *Sender) count(l *lane, bytes int) {
	l.bytes += bytes
	if l.pipe == nil {
		s.unplaced += bytes
		return
	}
	l.pipe.bytes += bytes
	s.placed += bytes
}

// attach puts a lane into a pipe.
func (s *Sender) attach(l *lane, p *pipe) {
	bytes := l.bytes
	s.count(l, -bytes)
	l.pipe = p
	s.count(l, bytes)
	s.makeReady(l)
}

// detach takes a lane out of its pipe, and has its server looked up at a time.
func (s *Sender) detach(l *lane, due time.Duration) {
	bytes := l.bytes
	s.count(l, -bytes)
	l.pipe, l.flying, l.ready = nil, 0, false
	s.count(l, bytes)
	s.lookUp(l, due)
}

func (s *Sender) lookUp(l *lane, due time.Duration) {
	l.due = due
	s.waiting.push(l)
}

// makeReady gives a lane its turn, if it has something for the next batch.
func (s *Sender) makeReady(l *lane) {
	p := l.pipe
	if p == nil || l.ready || l.flying > 0 || len(l.queue) == 0 {
		return
	}
	l.ready = true
	p.ready = append(p.ready, l)
	if !p.running {
		p.running = true
		s.woken = append(s.woken, p.to)
	}
}

// Wake returns the servers that Next is to be called for, each once until Next has returned
// that there is nothing.
func (s *Sender) Wake() []core.Incarnation {
	list := s.woken
	s.woken = nil
	return list
}

// Batch is what goes to a server at once.
type Batch struct {
	Number   uint64
	Messages []*Message
	Wait     time.Duration // for the answer
}

// Next returns what goes to a server now. ok is false if there is nothing; else, if wait is
// not zero, there will be something then. Answered or Unanswered follows.
func (s *Sender) Next(to core.Incarnation, now time.Duration) (b Batch, wait time.Duration, ok bool) {
	p := s.pipes[to]
	if p == nil {
		return Batch{}, 0, false
	}
	gathers := p.size > 1 && p.bytes < s.limits.Batch
	switch {
	case !p.open && len(p.ready) == 0:
		p.running = false
		return Batch{}, 0, false
	case !p.open && gathers && now < p.first+s.limits.Gather:
		return Batch{}, p.first + s.limits.Gather - now, true
	case !p.open:
		s.fill(p, now)
		p.size = len(p.batch)
	case now < p.due:
		return Batch{}, p.due - now, true
	}
	b = Batch{p.number, p.batch, retryAfter(p.fails)}
	p.due, p.asking = now+b.Wait, true
	return b, 0, true
}

// retryAfter is how long a batch waits for its answer after so many tries.
func retryAfter(fails int) time.Duration { return 250 * time.Millisecond << min(fails, 3) }

// fill makes the next batch.
func (s *Sender) fill(p *pipe, now time.Duration) {
	p.number++
	p.open, p.first, p.fails, p.perhaps = true, now, 0, false
	p.flying, p.batch = nil, nil
	bytes := 0
	for len(p.ready) > 0 {
		l := p.ready[0]
		for l.flying < len(l.queue) && len(p.batch) < s.limits.Messages {
			m := l.queue[l.flying]
			if bytes += m.Size; bytes > s.limits.Batch && len(p.batch) > 0 {
				break
			}
			p.batch = append(p.batch, m)
			l.flying++
		}
		if l.flying == 0 {
			return // it has the next turn
		}
		l.ready = false
		p.ready[0] = nil
		p.ready = p.ready[1:]
		p.flying = append(p.flying, l)
	}
}

// Answered takes what a server says of the messages of a batch, one after the other.
func (s *Sender) Answered(to core.Incarnation, number uint64, answers []Answer, now time.Duration) (ended []Ended) {
	p := s.pipes[to]
	if p == nil || !p.open || number != p.number {
		return nil
	}
	flying := p.flying
	p.open, p.asking, p.flying, p.batch = false, false, nil, nil
	for _, l := range flying {
		n := min(l.flying, len(answers))
		ended = s.settle(ended, l, answers[:n], now)
		answers = answers[n:]
	}
	return ended
}

// settle takes the answers to the messages of a lane that were in a batch.
func (s *Sender) settle(ended []Ended, l *lane, answers []Answer, now time.Duration) []Ended {
	flying := l.flying
	var again []*Message
	for i, m := range l.queue[:flying] {
		a := Answer{Result: Refused, Text: "no answer"}
		if i < len(answers) {
			a = answers[i]
		}
		switch {
		case a.Result == Done:
			ended = append(ended, Ended{m, nil})
		case a.Result == Absent && l.to.Server == core.Incarnation{}:
			again = append(again, m)
			continue
		default:
			ended = append(ended, Ended{m, fmt.Errorf("%w: %s", ErrRefused, a.Text)})
		}
		s.count(l, -m.Size)
	}
	clear(l.queue[:flying])
	l.queue, l.flying = l.queue[flying:], 0
	if again == nil {
		l.absent = 0
		s.goOn(l)
		return ended
	}
	l.queue = append(again, l.queue...)
	s.moved += uint64(len(again))
	s.known.remove(l.to.User)
	l.absent++
	s.detach(l, now+lookAgain(l.absent-1))
	return ended
}

// goOn gives a lane its next turn, or ends it.
func (s *Sender) goOn(l *lane) {
	if len(l.queue) > 0 {
		s.makeReady(l)
		return
	}
	delete(s.lanes, l.to)
	if l.to.Server == (core.Incarnation{}) {
		s.known.put(l.to.User, l.pipe.to)
	}
}

// lookAgain is the pause before a user is looked up again, after so many times.
func lookAgain(times int) time.Duration {
	if times == 0 {
		return 0
	}
	return min(20*time.Millisecond<<min(times-1, 10), time.Second)
}

// Unanswered tells that no answer came to a batch. never says that it was surely not
// received.
func (s *Sender) Unanswered(to core.Incarnation, number uint64, never bool, now time.Duration) (ended []Ended) {
	p := s.pipes[to]
	if p == nil || !p.open || number != p.number {
		return nil
	}
	p.fails++
	p.asking, p.perhaps = false, p.perhaps || !never
	if now-p.first < s.limits.Patience {
		return nil
	}
	// The batch goes on without what was in it: its number tells whether it was received.
	ended = s.drop(p)
	waiting := p.ready
	p.ready = nil
	for _, l := range waiting {
		l.ready = false
		ended = s.expire(ended, l, ErrUnreachable, now)
		s.makeReady(l)
	}
	return ended
}

// drop ends all that is in the batch under way.
func (s *Sender) drop(p *pipe) (ended []Ended) {
	why := ErrUnreachable
	if p.perhaps {
		why = ErrUnknown
	}
	flying := p.flying
	p.flying, p.batch = nil, nil
	for _, l := range flying {
		n := l.flying
		l.flying = 0
		ended = s.end(ended, l, n, why)
		s.makeReady(l)
	}
	return ended
}

// expire ends what has waited in a lane for too long. No batch has any of it.
func (s *Sender) expire(ended []Ended, l *lane, why error, now time.Duration) []Ended {
	n := 0
	for n < len(l.queue) && now-l.queue[n].put >= s.limits.Patience {
		n++
	}
	return s.end(ended, l, n, why)
}

// end ends the first n messages of a lane, and with the last one the lane.
func (s *Sender) end(ended []Ended, l *lane, n int, why error) []Ended {
	for _, m := range l.queue[:n] {
		ended = append(ended, Ended{m, why})
		s.count(l, -m.Size)
	}
	clear(l.queue[:n])
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		delete(s.lanes, l.to)
	}
	return ended
}

// Forget tells that a server is dead: it will hand nothing over any more.
func (s *Sender) Forget(to core.Incarnation, now time.Duration) (ended []Ended) {
	p := s.pipes[to]
	if p == nil {
		return nil
	}
	delete(s.pipes, to)
	if p.perhaps = p.perhaps || p.asking; p.open && p.perhaps {
		ended = s.drop(p)
	}
	p.running = true // it wakes no caller any more
	for _, l := range append(p.flying, p.ready...) {
		s.known.remove(l.to.User)
		if l.to.Server == (core.Incarnation{}) {
			s.detach(l, now)
			continue
		}
		ended = s.end(ended, l, len(l.queue), ErrUnreachable)
	}
	return ended
}

// ForgetIdle is Forget for all servers that are dead and that nothing is on its way to. It is
// called now and then.
func (s *Sender) ForgetIdle(dead func(core.Incarnation) bool) {
	maps.DeleteFunc(s.pipes, func(to core.Incarnation, p *pipe) bool { return !p.running && dead(to) })
}

// Lookup returns a user whose server is to be found now, if there is one. Located follows.
func (s *Sender) Lookup(now time.Duration) (user string, ok bool) {
	if len(s.waiting) == 0 || s.waiting[0].due > now {
		return "", false
	}
	return s.waiting.pop().to.User, true
}

// NextLookup returns when Lookup returns the next user, if nothing happens before.
func (s *Sender) NextLookup() (at time.Duration, ok bool) {
	if len(s.waiting) == 0 {
		return 0, false
	}
	return s.waiting[0].due, true
}

// surelyNowhere is after which time a user is looked up once more that was somewhere just
// now: a session that ends for another login of its user is gone before that has its own.
const surelyNowhere = 500 * time.Millisecond

// Located takes what the directory says of a user.
func (s *Sender) Located(user string, at Place, now time.Duration) (ended []Ended) {
	l := s.lanes[Address{User: user}]
	if l == nil || l.pipe != nil || l.index >= 0 {
		return nil
	}
	why := ErrOffline
	switch {
	case at.Kind == Nowhere && (l.absent == 0 || l.nowhere):
		return s.end(nil, l, len(l.queue), ErrOffline)
	case at.Kind == Unclear:
		why = ErrUnreachable
	}
	l.nowhere = at.Kind == Nowhere
	if at.Kind != At || l.absent > 1 {
		if ended = s.expire(nil, l, why, now); len(l.queue) == 0 {
			return ended
		}
	}
	switch at.Kind {
	case At:
		l.waits = 0
		s.attach(l, s.pipe(at.Server))
	case Nowhere:
		s.lookUp(l, now+surelyNowhere)
	default:
		l.waits++
		s.lookUp(l, now+lookAgain(l.waits))
	}
	return ended
}

// Close ends all that is on its way.
func (s *Sender) Close() (ended []Ended) {
	for _, l := range s.lanes {
		for i, m := range l.queue {
			why := ErrUnreachable
			if i < l.flying && (l.pipe.perhaps || l.pipe.asking) {
				why = ErrUnknown
			}
			ended = append(ended, Ended{m, why})
		}
	}
	moved := s.moved
	*s = *NewSender(s.limits)
	s.moved = moved
	return ended
}

// Waits reports whether anything is on its way to a user.
func (s *Sender) Waits(user string) bool { return s.lanes[Address{User: user}] != nil }

// Empty reports whether nothing is on its way.
func (s *Sender) Empty() bool { return len(s.lanes) == 0 }

// Bytes returns how much is on its way.
func (s *Sender) Bytes() int { return s.unplaced + s.placed }

// Moved returns how many messages met a server that had no session of their user, and went
// on to another.
func (s *Sender) Moved() uint64 { return s.moved }
