// SPDX-License-Identifier: MIT

package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// world joins pure servers and clients by links of its own, on a virtual
// clock. After every step it compares what both applications saw with what the
// other side sent: the oracle knows nothing of the code under test but its
// hooks and the numbers inside the messages.
type world struct {
	t       testing.TB
	rng     *rand.Rand
	now     time.Duration
	wall    time.Time
	cfg     Config
	srv     *server
	players []*player
	links   []*link
	delay   time.Duration // one way
	jitter  time.Duration
	cuts    int
	resumes int
	ends    int
	moves   int
	loginBy func(user string, old *seat) policy
	onLink  func(l *link) // sees every new link before anything travels on it
	fault   faults

	stalled    bool // the server process stands still
	wheelFirst bool // it looks at its timers before it reads
}

// faults are mistakes that the world makes on purpose: TestFaultsAreFound expects the
// oracle to find each of them.
type faults struct {
	noFence         bool // packets of an old link are taken as the present one's
	trimTooMany     bool // an acknowledgement drops one packet too many
	zeroAtResume    bool // the server's count starts anew with a RESUME
	verifyLate      bool // the old link is fenced before the proof is verified
	acceptLate      bool // a packet is acknowledged before it is in the inbox
	loseWakeUp      bool // one in eight wishes to write is forgotten
	keepOldTimer    bool // the wheel is not set when a link is bound
	keepTimerOfDead bool // the wheel entry of a closed session stays
	keepDead        bool // a closed session stays in the table
	detachTwice     bool // a takeover tells of the old link's end though that was told
	forgetLost      bool // the client reports one undelivered packet less
	deliverTwice    bool // what the core drops as a repetition is delivered
}

type policy uint8

const (
	allow policy = iota
	replace
	reject
	adopt
)

// server is a minimal framework around Session: what framework does with
// loops and goroutines, it does in a line.
type server struct {
	w      *world
	boot   uint32
	keys   *Keys
	shard  Shard
	table  *Table[*seat]
	wheel  *Wheel[*seat]
	logins int
	hooks  []string
}

// seat is the server's record of one player.
type seat struct {
	s       Session
	srv     *server
	handle  Handle
	user    string
	key     OpeningKey
	link    *link
	hooks   []string // of this session, in order
	got     []uint64 // numbers of the messages that reached the application
	sent    uint64   // messages the application sent since the stream began
	pending []codec.Packet
	asked   *codec.Packet  // the RESUME that made its link
	onGot   func(n uint64) // the application's handler
	onHook  func(what string)
	reset   uint32 // epoch in which the stream last began anew, 0: never
}

// player is one client with its application.
type player struct {
	w         *world
	c         *Client
	user      string
	link      *link
	seat      *seat
	sent      uint64 // application messages, numbered from 1
	got       []uint64
	changes   []ChangeKind
	last      *CloseError
	lost      [][]byte // reported undelivered
	dials     int
	refuse    bool // the network is unreachable
	knock     bool
	stored    bool          // it began with a stored token
	asleep    bool          // the device is suspended
	slept     time.Duration // for so long in all
	throttle  time.Duration // its timers fire only so often
	throttled time.Duration
	woken     bool // by a packet
	noDial    bool // the socket is opened by hand
	raw       []codec.Packet
	refused   []codec.Packet // too large for this server
	reset     uint32         // as the client knows it
	forged    bool           // a hand-driven link: no Client behind it
}

// link carries two byte streams. A cut one swallows what is in flight and
// says nothing to anybody.
type link struct {
	w       *world
	p       *player
	nonce   Nonce
	seat    *seat
	epoch   uint32
	cut     bool
	closed  bool // the server closed it
	fenced  bool // ... because a later link came
	woken   bool // the server has something to write
	knocked bool
	up      [2]stream
	byeBy   time.Duration
	opened  time.Duration
	// faults
	room      int                              // of each side's writer, 0: unlimited
	swallow   func(dir int, frame []byte) bool // drops single frames of the stream
	duplicate func(dir int, frame []byte) bool // delivers single frames twice
	cutAfter  [2]int                           // deliver that many bytes of a direction, then cut
	passed    [2]int
	record    func(dir int, frame codec.Packet) // sees every packet that arrives
	perByte   [2]time.Duration                  // a thin line: bytes come one by one
	unread    bool                              // the server does not read for the time being
}

// stream is one direction: frames with their arrival times, in order.
type stream struct {
	chunks []chunk
	buf    []byte
}

type chunk struct {
	at time.Duration
	b  []byte
}

const toServer, toClient = 0, 1

func newWorld(t testing.TB, seed uint64, cfg Config) *world {
	t.Helper()
	full, err := cfg.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), wall: time.Unix(1_700_000_000, 0), cfg: full, delay: 20 * time.Millisecond,
	}
	w.srv = w.boot(1)
	return w
}

// crash ends the server process and starts another: every link breaks.
func (w *world) crash() {
	keys := w.srv.keys
	w.srv = w.boot(w.srv.boot + 1)
	w.srv.keys = keys
	for _, l := range w.links {
		if !l.cut && !l.closed {
			l.closed, l.byeBy = true, l.arrival()
			l.up = [2]stream{}
		}
		l.cut = l.cut || l.seat != nil && l.p.link != l
	}
}

// migrate moves every session to another server with the same secret, by what
// its record says and nothing else.
func (w *world) migrate() {
	old := w.srv
	w.srv = w.boot(old.boot + 1)
	w.srv.keys = old.keys
	for _, l := range w.links {
		if l.seat == nil && !l.closed { // it has not said yet what it wants
			l.closeByServer(ShuttingDown)
		}
	}
	var seats []*seat
	old.table.All(func(_ ID, st *seat) bool {
		seats = append(seats, st)
		return true
	})
	slices.SortFunc(seats, func(a, b *seat) int { return bytes.Compare(a.s.id[:], b.s.id[:]) }) // the same with the same seed
	for _, st := range seats {
		if !st.s.everHeard {
			st.close(ShuttingDown)
			continue
		}
		l := st.link
		if l != nil {
			l.closeByServer(Moved)
		}
		old.table.ForgetOpening(st.key)
		stored := st.s.Record(w.now).Append(nil)
		st.s.Close(Moved)
		if l != nil { // what it still delivers finds the session that was
			l.fenced, l.seat = true, &seat{srv: old, s: st.s, user: st.user}
		}
		r, err := ParseRecord(stored)
		if err != nil {
			w.t.Fatalf("%s: %v", st.user, err)
		}
		st.s = Session{}
		st.s.Restore(&w.srv.shard, r, w.now)
		st.srv = w.srv
		w.srv.table.Put(st.s.ID(), st.user, st)
		st.handle = w.srv.wheel.Add(st, st.s.Due())
		w.moves++
	}
}

func (w *world) boot(n uint32) *server {
	s := &server{w: w, boot: n, table: NewTable[*seat](time.Minute, 1000), wheel: NewWheel[*seat](w.cfg.Tick)}
	s.shard.Config, s.shard.Rand = &w.cfg, w.rng.Uint32
	var secret Secret
	binary.LittleEndian.PutUint64(secret[:], w.rng.Uint64())
	s.keys = secret.Keys()
	return s
}

func (w *world) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
	return len(b), nil
}

var _ io.Reader = (*world)(nil)

func (w *world) player(user string) *player { return w.playerWith(ClientConfig{}, user) }

func (w *world) playerWith(cfg ClientConfig, user string) *player {
	cfg.Rand = w.rng.Uint64
	if cfg.Ticket == nil {
		cfg.Ticket = func() ([]byte, bool) { return []byte(user), true }
	}
	c, err := NewClient(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &player{w: w, c: c, user: user, stored: cfg.Token != ""}
	w.players = append(w.players, p)
	return p
}

// connected makes a player and runs until its session is open and confirmed.
func (w *world) connected(user string) *player {
	w.t.Helper()
	p := w.player(user)
	w.until(10*time.Second, func() bool { return p.c.State() == Open && p.seat != nil })
	p.send(1)
	w.until(10*time.Second, func() bool { return len(p.seat.got) == 1 })
	return p
}

// --- running

func (w *world) until(most time.Duration, done func() bool) {
	w.t.Helper()
	end := w.now + most
	for !done() {
		if w.now >= end {
			w.t.Fatalf("at %v: nothing came of it within %v", w.now, most)
		}
		w.step(end)
	}
}

func (w *world) run(d time.Duration) {
	w.t.Helper()
	for end := w.now + d; w.now < end; {
		w.step(end)
	}
}

// step goes to the next moment at which anything happens, at most to end.
func (w *world) step(end time.Duration) {
	next := end
	for _, l := range w.links {
		for dir := range l.up {
			if len(l.up[dir].chunks) > 0 && !l.cut && !l.blocked(dir) {
				next = min(next, l.up[dir].chunks[0].at)
			}
		}
		if l.seat == nil && !l.closed {
			next = min(next, l.opened+w.cfg.OpeningTimeout)
		}
		if l.closed && !l.cut && l.p.link == l && l.byeBy > w.now {
			next = min(next, l.byeBy)
		}
	}
	if !w.stalled {
		next = min(next, w.srv.wheel.Next())
	}
	for _, p := range w.players {
		switch due := p.c.Due(); {
		case p.asleep || due == Never:
		case p.throttle > 0:
			next = min(next, max(due+p.slept, p.throttled))
		default:
			next = min(next, due+p.slept)
		}
	}
	w.advance(max(next-w.now, 0))
	w.act()
}

func (w *world) advance(d time.Duration) {
	w.now += d
	w.wall = w.wall.Add(d)
}

// act does everything that is due now.
func (w *world) act() {
	w.links = slices.DeleteFunc(w.links, func(l *link) bool {
		if l.fenced && !l.cut && len(l.up[toServer].chunks) > 0 {
			return false // what it still delivers must find the fence
		}
		return l.closed && (l.p.link != l || l.p.forged && len(l.up[toClient].chunks) == 0) || l.cut && l.seat == nil && l.p.link != l
	})
	if w.wheelFirst && !w.stalled {
		w.srv.wheel.Advance(w.now, w.srv.visit)
	}
	for _, l := range w.links {
		l.deliver(toServer)
		l.deliver(toClient)
		if l.seat == nil && !l.closed && w.now >= l.opened+w.cfg.OpeningTimeout {
			l.closeByServer(OpeningTimeout)
		}
	}
	if !w.stalled {
		w.srv.wheel.Advance(w.now, w.srv.visit)
	}
	for _, p := range w.players {
		p.check()
	}
	w.flush()
	for _, p := range w.players {
		if p.seat != nil {
			pending := p.seat.pending
			p.seat.pending = nil
			for _, pk := range pending {
				p.seat.got = append(p.seat.got, numberIn(pk.Body))
			}
		}
	}
	w.check()
}

func (w *world) flush() {
	for _, l := range w.links {
		l.flush()
	}
}

// --- the oracle

// check holds what the applications saw against the invariants.
func (w *world) check() {
	w.t.Helper()
	live := 0
	for _, p := range w.players {
		inOrder(w.t, p.user+" at the client", p.got)
		if p.seat != nil {
			inOrder(w.t, p.user+" at the server", p.seat.got)
			hooksInOrder(w.t, p.user, p.seat.hooks)
			if uint64(len(p.seat.got)) > p.sent || p.reset == p.seat.reset && uint64(len(p.got)) > p.seat.sent {
				w.t.Fatalf("%s: more arrived than was sent", p.user)
			}
			e := &p.seat.s.endpoint
			if e.acked > e.wrote || e.wrote > e.sent || e.next > e.sent+1 || e.next <= e.acked {
				w.t.Fatalf("%s: counts acked %d wrote %d sent %d next %d", p.user, e.acked, e.wrote, e.sent, e.next)
			}
			// Nobody forgets what the other has not accepted.
			if c := &p.c.endpoint; p.link != nil && p.link == p.seat.link && p.c.State() == Open && (e.acked > c.recv || c.acked > e.recv) {
				w.t.Fatalf("%s: the server forgot up to %d of %d, the client up to %d of %d", p.user, e.acked, c.recv, c.acked, e.recv)
			}
		}
	}
	w.srv.table.All(func(id ID, st *seat) bool {
		live++
		due := max(st.s.Due(), w.now) + w.cfg.Tick
		if at := time.Duration(w.srv.wheel.nodes[st.handle-1].at) * w.cfg.Tick; st.s.Due() != Never && at > due && !w.stalled {
			w.t.Fatalf("%s: a %v session is due at %v and looked at %v later", st.user, st.s.State(), st.s.Due(), at-st.s.Due())
		}
		if l := st.link; l != nil && !l.closed && l.room == 0 && !w.stalled && st.s.Wants() {
			w.t.Fatalf("%s: the session has something to write and nobody does", st.user)
		}
		if st.s.State() == Closed {
			w.t.Fatalf("a closed session is in the table")
		}
		if (st.s.State() == Attached) != (st.link != nil) {
			w.t.Fatalf("%v but link %v", st.s.State(), st.link != nil)
		}
		return true
	})
	if w.srv.wheel.Len() != live {
		w.t.Fatalf("%d wheel entries for %d sessions", w.srv.wheel.Len(), live)
	}
}

func inOrder(t testing.TB, who string, got []uint64) {
	t.Helper()
	if n := len(got); n > 0 && got[n-1] != uint64(n) {
		t.Fatalf("%s: message %d came as the %d-th: %v", who, got[n-1], n, got[max(0, n-5):])
	}
}

// hooksInOrder: open once and first, close at most once and last, detach and
// resume alternate between.
func hooksInOrder(t testing.TB, who string, hooks []string) {
	t.Helper()
	state := ""
	for i, h := range hooks {
		ok := false
		switch h {
		case "open":
			ok = i == 0
		case "detach":
			ok = state == "open" || state == "resume"
		case "resume":
			ok = state == "detach"
		case "reset":
			ok = state == "resume"
			h = state
		case "close":
			ok = state != "close" && i > 0
		}
		if !ok {
			t.Fatalf("%s: hook %d in %v", who, i, hooks)
		}
		state = h
	}
}

func (p *player) String() string {
	return fmt.Sprintf("%s: client %v sent %d got %d, changes %v, last %v", p.user, p.c.State(), p.sent, len(p.got), p.changes, p.last)
}
