// SPDX-License-Identifier: MIT

package session

import (
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// In the model time stands still: when a deadline comes is the adversary's
// choice, so that no order of events is left out because of some duration.
const modelNow = time.Hour

var modelWall = time.UnixMicro(0) // attempts are 1, 2, 3

// An action is one thing the adversary does. Those before unbounded have a budget.
type modelAct uint8

const (
	clientSends modelAct = iota
	serverSends          // the session opened last
	dials                // the client, which waits, opens a link
	cuts                 // the client's link: what is in flight is gone and neither end is told
	losesReply           // WELCOME, RESUMED or RESET is swallowed and the link goes on
	swallowsUp           // ... or a counted packet is
	swallowsDown
	kicks        // the session opened last
	expires      // the grace of a detached session is over
	repeats      // a RESUME: on its own link, which that ends, on an old one, or by a stranger (link 0)
	pings        // the client
	unbounded    // from here on
	reaches      // the next frame of a link reaches the server
	comesBack    // the next frame of a link reaches the client
	clientLeaves // a link, dead or not
	serverLeaves // a link that is cut or that the client left
)

// modelBudget is how often each action may happen.
type modelBudget [unbounded]uint8

// choices tells apart what may still be chosen in states that are the same
// otherwise: 44 bits of budget, and which RESUME can be repeated.
func (st *modelState) choices() (v uint64) {
	if st.left[repeats] > 0 {
		v = uint64(crc32.ChecksumIEEE(append(st.resume[:len(st.resume):len(st.resume)], st.origin)) >> 12)
	}
	for _, n := range st.left {
		v = v<<4 | uint64(n)
	}
	return v
}

type modelChoice struct {
	act  modelAct
	link uint8
}

// model is what all states of one exploration share.
type model struct {
	cfg      Config
	shard    Shard
	keys     *Keys
	fault    modelFault
	outwards bool        // judge by what the applications see, not by numbers inside
	at       *modelState // that is being changed: its counters are the randomness
	enc      []byte      // scratch of key
}

// modelLink carries whole frames, in order. It is removed when nobody has it.
type modelLink struct {
	nonce    uint8 // and name: 1 is the first
	seat     int8  // -1: none yet
	epoch    uint32
	base     uint8 // the server's stream begins behind it, as its answer told
	cut      bool
	left     bool // by the client
	closed   bool // by the server
	up, down [][]byte
}

// modelSeat is the server's record of one session, with the reference's
// knowledge of it: what was sent and seen, counted by the applications.
type modelSeat struct {
	s       Session
	key     OpeningKey
	link    uint8 // that it is on, 0: none
	heard   bool  // the client, there
	attempt uint64
	hook    byte // the last: o(pen), d(etach), r(esume), c(lose)
	opened  bool // the client got WELCOME
	first   uint8
	got     uint8 // messages the server's application saw
	sent    uint8 // ... and sent
	base    uint8 // the client's stream begins behind it
	seen    uint8 // by the client's application since
	givenUp uint8 // overflowed up to here
	over    bool  // ... and no link since
	late    uint8 // faults: accepted and not yet in the inbox
	cause   Code  // of the end
}

// modelState is one state of everything.
type modelState struct {
	c       Client
	seats   []modelSeat
	table   *Table[uint8]
	owned   bool // table is not shared with other states
	links   []modelLink
	keys    []OpeningKey
	left    modelBudget
	link    uint8 // the client's, 0: none
	dialled uint8
	logins  uint8
	pinged  uint8  // by either side
	seat    int8   // the client's present one
	first   uint8  // number of its first message - 1
	sent    uint8  // messages since
	failed  uint8  // links in a row that brought no session
	faulty  bool   // a link lost a frame: errors are to be expected
	resume  []byte // the last one written, while it may be repeated
	origin  uint8  // its link
	bad     string
}

func newModel(cfg Config) *model {
	full, err := cfg.WithDefaults()
	if err != nil {
		panic(err)
	}
	m := &model{cfg: full, keys: Secret{}.Keys()}
	m.shard.Config = &m.cfg
	m.shard.Rand = func() uint32 { m.at.pinged++; return uint32(m.at.pinged) }
	return m
}

func (m *model) start() *modelState {
	c, err := NewClient(ClientConfig{
		Rand:   func() uint64 { return uint64(m.at.pinged)<<8 | uint64(m.at.logins) + 1 },
		Ticket: func() ([]byte, bool) { m.at.logins++; return []byte("ticket"), true },
	})
	if err != nil {
		panic(err)
	}
	st := &modelState{c: *c, table: NewTable[uint8](time.Minute, 10), owned: true, seat: -1}
	m.at = st
	m.pump(st)
	return st
}

// clone copies a state. Pools stay shared: every ring and block has one owner.
func (st *modelState) clone() *modelState {
	n := *st
	n.owned = false
	n.c.out = cloneQueue(n.c.out)
	n.c.ctl, n.c.changes = nil, nil // pump left nothing in them
	n.seats = slices.Clone(st.seats)
	for i := range n.seats {
		n.seats[i].s.out = cloneQueue(n.seats[i].s.out)
	}
	n.links = slices.Clone(st.links)
	for i := range n.links {
		l := &n.links[i]
		l.up, l.down = slices.Clip(l.up), slices.Clip(l.down)
	}
	n.keys = slices.Clip(st.keys)
	return &n
}

func cloneQueue(q queue) queue {
	if q.backlog == nil {
		return q
	}
	own := *q.backlog
	q = queue{&own}
	q.ring = slices.Clone(q.ring)
	for i := range int(q.n) {
		if p := q.at(i); !p.shared {
			p.body = append(make([]byte, 0, cap(p.body)), p.body...)
		}
	}
	return q
}

// tab returns the table to be changed.
func (st *modelState) tab() *Table[uint8] {
	if !st.owned {
		t := *st.table
		t.live, t.opening, t.tombstones = maps.Clone(t.live), maps.Clone(t.opening), maps.Clone(t.tombstones)
		t.attempts, t.attemptsBefore = maps.Clone(t.attempts), maps.Clone(t.attemptsBefore)
		t.users, t.expiries = maps.Clone(t.users), slices.Clone(t.expiries)
		t.entries = slices.Clone(t.entries)
		st.table, st.owned = &t, true
	}
	return st.table
}

// key is what tells a state from others: the hash of it depends on nothing
// that has no influence on what may happen next.
func (m *model) key(st *modelState) []byte {
	b := m.enc[:0]
	c := &st.c
	b = append(b, byte(c.state), flags(c.have, c.fresh, c.everUp, c.asked, c.greeted, c.retried, c.cut, st.faulty), byte(c.failures),
		byte(c.epoch), byte(c.attempt), c.id[0], st.link, byte(st.seat), st.first, st.sent, st.failed)
	b = append(b, c.opening[:1]...)
	b = appendEnd(b, &c.endpoint)
	for i := range st.seats {
		e := &st.seats[i]
		s := &e.s
		b = append(b, 0xee, byte(s.state), byte(s.epoch), byte(s.attempt), byte(s.overflows), byte(s.reason),
			flags(s.confirmed, s.everHeard, s.overflowed, s.asked, s.tuneDue, s.answered == withReset, s.answered == withRestart, e.opened),
			e.link, byte(e.attempt), e.hook, e.first, e.got, e.sent, e.base, e.seen, e.givenUp, e.late, byte(e.cause), e.key[0], flags(e.heard, e.over))
		b = appendEnd(b, &s.endpoint)
	}
	for _, k := range st.keys {
		_, open := st.table.Opening(k)
		b = append(b, 0xdd, k[0], byte(min(max(st.table.attempts[k], st.table.attemptsBefore[k]), 255)), flags(open))
	}
	for i := range st.links {
		l := &st.links[i]
		b = append(b, 0xcc, l.nonce, byte(l.seat), byte(l.epoch), l.base, flags(l.cut, l.left, l.closed), byte(len(l.up)))
		for _, f := range l.up {
			b = append(b, f...)
		}
		for _, f := range l.down {
			b = append(b, f...)
		}
	}
	m.enc = b
	return b
}

func appendEnd(b []byte, e *endpoint) []byte {
	b = append(b, byte(e.acked), byte(e.wrote), byte(e.sent), byte(e.next), byte(e.recv), byte(e.unacked), byte(e.auditUpTo),
		byte(e.pingID), byte(e.echoID), byte(e.unackedBytes), byte(e.inFlight),
		flags(e.pingOpen, e.questionOpen, e.pingDue, e.echoDue, e.ackDue, e.held, e.holding, e.holdDue))
	for i := range e.out.len() {
		b = append(b, e.out.at(i).body...)
	}
	return b
}

func flags(list ...bool) (b byte) {
	for i, on := range list {
		if on {
			b |= 1 << i
		}
	}
	return b
}

// enabled lists what the adversary may do.
func (st *modelState) enabled(dst []modelChoice) []modelChoice {
	may := func(a modelAct) bool { return a > unbounded || st.left[a] > 0 }
	add := func(a modelAct, link uint8) { dst = append(dst, modelChoice{a, link}) }
	live := st.live()
	if may(clientSends) && st.c.state != Ended {
		add(clientSends, 0)
	}
	if may(serverSends) && live != nil {
		add(serverSends, 0)
	}
	if may(kicks) && live != nil {
		add(kicks, 0)
	}
	if may(expires) && slices.ContainsFunc(st.seats, func(e modelSeat) bool { return e.s.state == Detached }) {
		add(expires, 0)
	}
	if may(dials) && st.c.state == Waiting && len(st.links) < 2 {
		add(dials, 0)
	}
	if may(pings) && st.c.state == Open && !st.c.pingOpen {
		add(pings, 0)
	}
	if may(repeats) && st.resume != nil {
		add(repeats, 0)
	}
	for i := range st.links {
		l := &st.links[i]
		if len(l.up) > 0 {
			add(reaches, l.nonce)
			if may(swallowsUp) && kindOf(l.up[0]).Counted() {
				add(swallowsUp, l.nonce)
			}
		}
		if may(repeats) && !l.closed && (len(l.up) > 0 && kindOf(l.up[0]) == codec.Resume || l.left && st.resume != nil && l.nonce != st.origin) {
			add(repeats, l.nonce)
		}
		if !l.closed && (l.cut || l.left) {
			add(serverLeaves, l.nonce)
		}
		if len(l.down) > 0 {
			add(comesBack, l.nonce)
			k := kindOf(l.down[0])
			if may(losesReply) && (k == codec.Welcome || k == codec.Resumed || k == codec.Reset) {
				add(losesReply, l.nonce)
			}
			if may(swallowsDown) && k.Counted() {
				add(swallowsDown, l.nonce)
			}
		}
		if l.left {
			continue
		}
		if may(cuts) && !l.cut {
			add(cuts, l.nonce)
		}
		if st.left[dials] > 0 || l.over() {
			add(clientLeaves, l.nonce)
		}
	}
	return dst
}

// over tells that the client will hear nothing more on the link.
func (l *modelLink) over() bool { return l.cut || l.closed && len(l.down) == 0 }

func kindOf(frame []byte) codec.Kind { return parse(frame).Kind }

func parse(frame []byte) codec.Packet {
	p, n, err := codec.ParseFrame(frame, 1<<20)
	if err != nil || n != len(frame) {
		panic(fmt.Sprintf("no frame: %x %v", frame, err))
	}
	return p
}

// live is the session opened last, if it is not closed.
func (st *modelState) live() *modelSeat {
	if n := len(st.seats); n > 0 && st.seats[n-1].s.state != Closed {
		return &st.seats[n-1]
	}
	return nil
}

func (st *modelState) linkOf(nonce uint8) *modelLink {
	for i := range st.links {
		if nonce != 0 && st.links[i].nonce == nonce {
			return &st.links[i]
		}
	}
	return nil
}

func (st *modelState) fail(format string, args ...any) {
	if st.bad == "" {
		st.bad = fmt.Sprintf(format, args...)
	}
}

// describe tells in words what a choice does in a state.
func (st *modelState) describe(ch modelChoice) string {
	l := st.linkOf(ch.link)
	switch ch.act {
	case clientSends:
		return fmt.Sprintf("the client's app sends message %d", st.first+st.sent+1)
	case serverSends:
		return fmt.Sprintf("the server's app sends message %d", st.live().sent+1)
	case dials:
		return fmt.Sprintf("the client dials link %d", st.dialled+1)
	case cuts:
		return fmt.Sprintf("link %d is cut, %d frames up and %d down are gone", ch.link, len(l.up), len(l.down))
	case losesReply, swallowsDown:
		return fmt.Sprintf("%v on link %d is lost", kindOf(l.down[0]), ch.link)
	case swallowsUp:
		return fmt.Sprintf("%v to the server on link %d is lost", kindOf(l.up[0]), ch.link)
	case kicks:
		return "the server kicks the player"
	case expires:
		return "the grace is over"
	case repeats:
		return fmt.Sprintf("the RESUME of link %d comes again, on link %d", st.origin, ch.link)
	case pings:
		return "the client pings"
	case reaches:
		return fmt.Sprintf("%v reaches the server on link %d", kindOf(l.up[0]), ch.link)
	case comesBack:
		return fmt.Sprintf("%v reaches the client on link %d", kindOf(l.down[0]), ch.link)
	case clientLeaves:
		return fmt.Sprintf("the client leaves link %d", ch.link)
	}
	return fmt.Sprintf("the server finds link %d dead", ch.link)
}
