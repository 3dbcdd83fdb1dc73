// SPDX-License-Identifier: MIT

package session

import (
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
	loginBy func(user string, old *seat) policy
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
	secret Secret
	shard  Shard
	table  *Table[*seat]
	wheel  *Wheel[*seat]
	logins int
	hooks  []string
}

// seat is the server's record of one player.
type seat struct {
	s        Session
	srv      *server
	handle   Handle
	user     string
	key      OpeningKey
	link     *link
	hooks    []string // of this session, in order
	got      []uint64 // numbers of the messages that reached the application
	sent     uint64   // messages the application sent
	inboxCap int
}

// player is one client with its application.
type player struct {
	w        *world
	c        *Client
	user     string
	link     *link
	seat     *seat
	sent     uint64 // application messages, numbered from 1
	got      []uint64
	changes  []ChangeKind
	last     *CloseError
	lost     [][]byte // reported undelivered
	dials    int
	refuse   bool // the network is unreachable
	closed   bool
	knock    bool
	slowRead bool
}

// link carries two byte streams. A cut one swallows what is in flight and
// says nothing to anybody.
type link struct {
	w      *world
	p      *player
	nonce  Nonce
	seat   *seat
	epoch  uint32
	cut    bool
	closed bool // the server closed it
	up     [2]stream
	byeBy  time.Duration
	opened time.Duration
	// faults
	room      int                              // of each side's writer, 0: unlimited
	swallow   func(dir int, frame []byte) bool // drops single frames of the stream
	duplicate func(dir int, frame []byte) bool // delivers single frames twice
	cutAfter  [2]int                           // deliver that many bytes of a direction, then cut
	passed    [2]int
	record    func(dir int, frame codec.Packet) // sees every packet that arrives
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

func (w *world) boot(n uint32) *server {
	s := &server{w: w, boot: n, table: NewTable[*seat](time.Minute, 1000), wheel: NewWheel[*seat](w.cfg.Tick)}
	s.shard.Config, s.shard.Rand = &w.cfg, w.rng.Uint32
	binary.LittleEndian.PutUint64(s.secret[:], w.rng.Uint64())
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
		cfg.Ticket = func() []byte { return []byte(user) }
	}
	c, err := NewClient(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &player{w: w, c: c, user: user}
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
			if len(l.up[dir].chunks) > 0 && !l.cut {
				next = min(next, l.up[dir].chunks[0].at)
			}
		}
		if l.seat == nil && !l.closed {
			next = min(next, l.opened+w.cfg.OpeningTimeout)
		}
	}
	next = min(next, w.srv.wheel.Next())
	for _, p := range w.players {
		next = min(next, p.c.Due())
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
		return l.closed && (l.p.link != l) || l.cut && l.seat == nil && l.p.link != l
	})
	for _, l := range w.links {
		l.deliver(toServer)
		l.deliver(toClient)
		if l.seat == nil && !l.closed && w.now >= l.opened+w.cfg.OpeningTimeout {
			l.closeByServer(OpenTimeout)
		}
	}
	w.srv.wheel.Advance(w.now, w.srv.visit)
	for _, p := range w.players {
		p.check()
	}
	w.flush()
	w.check()
}

func (w *world) flush() {
	for _, l := range w.links {
		l.flush()
	}
}

// --- the link

func (l *link) arrival() time.Duration {
	d := l.w.delay
	if l.w.jitter > 0 {
		d += time.Duration(l.w.rng.Int64N(int64(l.w.jitter)))
	}
	return l.w.now + d
}

func (l *link) write(dir int, b []byte) {
	if len(b) == 0 || l.cut {
		return
	}
	s := &l.up[dir]
	at := l.arrival()
	if n := len(s.chunks); n > 0 {
		at = max(at, s.chunks[n-1].at)
	}
	for len(b) > 0 { // one chunk a frame, so that faults can pick
		n, err := codec.FrameSize(b, 1<<20)
		if err != nil || n == 0 || n > len(b) {
			l.w.t.Fatalf("a peer wrote something that is no frame: %x %v", b, err)
		}
		frame := slices.Clone(b[:n])
		b = b[n:]
		if l.swallow != nil && l.swallow(dir, frame) {
			continue
		}
		s.chunks = append(s.chunks, chunk{at, frame})
		if l.duplicate != nil && l.duplicate(dir, frame) {
			s.chunks = append(s.chunks, chunk{at, frame})
		}
	}
}

func (l *link) queued(dir int) (n int) {
	for _, c := range l.up[dir].chunks {
		n += len(c.b)
	}
	return n
}

func (l *link) flush() {
	room := 1 << 30
	if l.room > 0 {
		room = max(l.room-l.queued(toClient), 0)
	}
	if l.seat != nil && !l.closed {
		l.write(toClient, l.seat.s.Output(nil, l.epoch, l.w.now, room))
	}
	if l.p.link == l {
		room := 1 << 30
		if l.room > 0 {
			room = max(l.room-l.queued(toServer), 0)
		}
		l.write(toServer, l.p.c.Output(nil, l.w.now, room))
	}
}

func (l *link) deliver(dir int) {
	s := &l.up[dir]
	for len(s.chunks) > 0 && s.chunks[0].at <= l.w.now && !l.cut {
		b := s.chunks[0].b
		s.chunks = s.chunks[1:]
		if left := l.cutAfter[dir]; left > 0 && l.passed[dir]+len(b) >= left {
			b = b[:left-l.passed[dir]]
			l.cutNow()
		}
		l.passed[dir] += len(b)
		s.buf = append(s.buf, b...)
		for {
			p, n, err := codec.ParseFrame(s.buf, 1<<20)
			if err != nil {
				l.w.t.Fatalf("frame: %v", err)
			}
			if n == 0 {
				break
			}
			p.Body = slices.Clone(p.Body)
			s.buf = s.buf[n:]
			if l.record != nil {
				l.record(dir, p)
			}
			if dir == toServer {
				l.serverReceive(p)
			} else if l.p.link == l {
				l.p.receive(p)
			}
		}
	}
}

func (l *link) cutNow() {
	if !l.cut {
		l.cut = true
		l.w.cuts++
	}
}

// closeByServer ends the link in an orderly way: both ends learn of it.
func (l *link) closeByServer(code Code) {
	if l.closed {
		return
	}
	l.closed = true
	if l.seat != nil && l.seat.link == l {
		l.seat.detach(l)
	}
	// The client hears of the end after what is still in flight.
	l.byeBy = l.arrival()
}

// --- the server

func (l *link) serverReceive(p codec.Packet) {
	w := l.w
	if l.closed {
		return
	}
	if l.seat == nil {
		l.serverOpening(p)
		return
	}
	st := l.seat
	ev, err := st.s.Receive(l.epoch, p, w.now)
	if err != nil {
		if st.s.Epoch() == l.epoch {
			l.closeByServer(Protocol)
		}
		return
	}
	if st.s.Confirmed() {
		w.srv.table.Opened(st.key)
	}
	switch ev {
	case Deliver:
		st.deliver(p)
	case PeerDetach:
		l.closeByServer(LinkLost)
	case PeerBye:
		st.close(Left)
	}
}

func (st *seat) deliver(p codec.Packet) {
	_, payload, err := codec.ParseMessage(p.Body)
	var n uint64
	if err == nil {
		err = codec.DecodeBody(payload, &n)
	}
	if err != nil {
		st.srv.w.t.Fatalf("the application got something else: %v", err)
	}
	if st.s.State() == Closed {
		st.srv.w.t.Fatalf("message %d after close", n)
	}
	st.got = append(st.got, n)
}

func (l *link) serverOpening(p codec.Packet) {
	w, srv := l.w, l.w.srv
	switch p.Kind {
	case codec.Heartbeat:
	case codec.Hello:
		h, err := ParseHello(p)
		if err != nil || h.Nonce != l.nonce {
			l.closeByServer(Protocol)
			return
		}
		srv.hello(l, h)
	case codec.Resume:
		r, err := ParseResume(p)
		if err != nil {
			l.closeByServer(Protocol)
			return
		}
		if refusal := srv.resume(l, r); refusal != nil {
			l.write(toClient, AppendRefused(nil, refusal))
		} else {
			w.resumes++
		}
	default:
		l.closeByServer(Protocol)
	}
}

func (srv *server) hello(l *link, h *HelloRequest) {
	w := srv.w
	key := h.OpeningKey()
	if st, ok := srv.table.Opening(key); ok {
		if old := st.link; old != nil {
			old.fence()
		}
		if st.s.State() == Detached {
			st.hook("resume")
		}
		st.s.Reopen(w.now)
		st.bind(l)
		l.write(toClient, st.s.AppendWelcome(nil, srv.secret.Key(st.s.ID()), nil))
		return
	}
	srv.logins++
	user := string(h.Ticket)
	var how policy
	if olds := srv.table.User(user); len(olds) > 0 && w.loginBy != nil {
		old := olds[len(olds)-1]
		how = w.loginBy(user, old)
		switch how {
		case replace:
			old.close(TakenOver)
		case reject:
			l.write(toClient, AppendRefused(nil, &CloseError{Code: Denied}))
			return
		case adopt:
			srv.adopt(l, old, key)
			return
		}
	}
	id, _ := NewID(1, srv.boot, w)
	st := &seat{srv: srv, user: user, key: key}
	st.s.Open(&srv.shard, id, w.now)
	srv.table.Put(id, user, st)
	srv.table.SetOpening(key, st)
	st.handle = srv.wheel.Add(st, st.s.Due())
	st.hook("open")
	st.bind(l)
	l.write(toClient, st.s.AppendWelcome(nil, srv.secret.Key(id), nil))
}

func (srv *server) adopt(l *link, st *seat, key OpeningKey) {
	if st.link != nil {
		st.hook("detach")
		st.link.fence()
	}
	srv.table.Opened(st.key)
	st.key = key
	srv.table.SetOpening(key, st)
	st.s.Takeover(srv.w.now)
	st.bind(l)
	st.hook("resume")
	l.write(toClient, st.s.AppendWelcome(nil, srv.secret.Key(st.s.ID()), nil))
}

func (srv *server) resume(l *link, r *ResumeRequest) *CloseError {
	w := srv.w
	if !srv.secret.Verify(r, l.nonce) {
		return &CloseError{Code: Unknown}
	}
	st, ok := srv.table.Get(r.ID)
	if !ok {
		if stone, ok := srv.table.Tomb(r.ID, w.now); ok {
			return stone.Refusal()
		}
		return &CloseError{Code: Unknown}
	}
	attached, old := st.s.State() == Attached, st.link
	answer, reset, refusal := st.s.Resume(nil, r, old == l, w.now)
	if refusal != nil {
		if refusal.Code == Inconsistent {
			st.close(Inconsistent)
		}
		return refusal
	}
	if attached {
		st.hook("detach")
		if old != nil && old != l {
			old.fence()
		}
	}
	if st.s.Spent() {
		st.close(Overflow)
		return &CloseError{Code: Overflow}
	}
	st.bind(l)
	st.hook("resume")
	if reset {
		st.hook("reset")
	}
	l.write(toClient, answer)
	return nil
}

// fence ends the link of an epoch that is over.
func (l *link) fence() {
	l.write(toClient, AppendBye(nil, TakenOver, ""))
	l.closed = true
	l.byeBy = l.arrival()
}

func (st *seat) bind(l *link) {
	st.link, l.seat, l.epoch = l, st, st.s.Epoch()
	l.p.seat = st
	st.srv.wheel.Set(st.handle, st.s.Due())
}

func (st *seat) hook(what string) {
	st.hooks = append(st.hooks, what)
	st.srv.hooks = append(st.srv.hooks, st.user+" "+what)
}

func (st *seat) detach(l *link) {
	if st.s.Detach(l.epoch, st.srv.w.now) {
		st.link = nil
		st.hook("detach")
		st.srv.wheel.Set(st.handle, st.s.Due())
	}
}

func (st *seat) close(code Code) {
	if !st.s.Close(code) {
		return
	}
	srv := st.srv
	srv.wheel.Remove(st.handle)
	srv.table.Opened(st.key)
	srv.table.Bury(st.s.ID(), st.user, st, Tombstone{Code: code, Recv: st.s.Received()}, srv.w.now)
	if l := st.link; l != nil {
		st.link = nil
		l.write(toClient, AppendBye(nil, code, ""))
		l.closed = true
		l.byeBy = l.arrival()
	}
	st.hook("close")
}

func (srv *server) visit(st *seat, late time.Duration) time.Duration {
	now := srv.w.now
	switch st.s.Check(now, late) {
	case Dead:
		l := st.link
		l.closed = true
		st.detach(l)
	case Lapsed:
		st.close(Expired)
		return Never
	case Aged:
		st.close(TooOld)
		return Never
	}
	return st.s.Due()
}

// push sends the next numbered message of the server's application.
func (st *seat) push(n int) error {
	for range n {
		if err := st.s.Send(codec.Message, number(st.sent+1), false, st.srv.w.now); err != nil {
			if err == ErrOverflow && st.link != nil {
				st.link.closeByServer(SlowReader)
			}
			return err
		}
		st.sent++
	}
	st.srv.w.flush()
	return nil
}

func number(n uint64) []byte {
	payload, err := codec.AppendBody(nil, n)
	if err != nil {
		panic(err)
	}
	return codec.AppendMessage(nil, codec.NumberedRoute(1), payload)
}

func numberIn(body []byte) (n uint64) {
	_, payload, err := codec.ParseMessage(body)
	if err == nil {
		err = codec.DecodeBody(payload, &n)
	}
	if err != nil {
		panic(err)
	}
	return n
}

// --- the client's shell

func (p *player) check() {
	w := p.w
	if l := p.link; l != nil && l.closed && !l.cut && w.now >= l.byeBy && len(l.up[toClient].chunks) == 0 {
		p.link = nil
		p.c.LinkDown(w.now)
	}
	switch p.c.Check(w.now, w.wall) {
	case Cut:
		p.drop()
		p.check()
		return
	case Dial:
		p.dials++
		if p.refuse {
			p.c.LinkDown(w.now)
			break
		}
		p.dial()
	}
	for _, ch := range p.c.Changes() {
		p.changes = append(p.changes, ch.Kind)
		if ch.Err != nil {
			p.last = ch.Err
		}
		if ch.Kind == Ending {
			p.ended(ch)
		}
	}
}

// ended holds the end of an incarnation against what the server saw of it:
// what it accepted and what the client reports as undelivered are all that was
// sent, and where the server told its final count nothing is in both.
func (p *player) ended(ch Change) {
	p.lost = nil
	for _, u := range ch.Undelivered {
		p.lost = append(p.lost, u.Body)
	}
	if st := p.seat; st != nil {
		both := len(st.got) + len(p.lost)
		if both < int(p.sent) || ch.Err.Code == Gone && both != int(p.sent) {
			p.w.t.Fatalf("%s: %d sent, %d accepted, %d reported undelivered, %v", p.user, p.sent, len(st.got), len(p.lost), ch.Err)
		}
		p.w.ends++
		if testing.Verbose() {
			fmt.Println("END", ch.Err)
		}
	}
	p.seat, p.sent, p.got = nil, 0, nil
}

// drop closes the client's socket: the server sees it unless the link is cut.
func (p *player) drop() {
	l := p.link
	if l == nil {
		return
	}
	l.write(toServer, p.c.Output(nil, p.w.now, 1<<30))
	p.link = nil
	if l.cut || l.closed {
		return
	}
	l.deliverAll(toServer)
	l.closeByServer(LinkLost)
}

func (l *link) deliverAll(dir int) {
	for i := range l.up[dir].chunks {
		l.up[dir].chunks[i].at = l.w.now
	}
	l.deliver(dir)
}

func (p *player) dial() {
	w := p.w
	l := &link{w: w, p: p, opened: w.now}
	_, _ = w.Read(l.nonce[:])
	p.link = l
	w.links = append(w.links, l)
	p.c.LinkUp(w.now, w.wall, p.knock)
	l.write(toClient, AppendGreeting(nil, l.nonce))
}

func (p *player) receive(pk codec.Packet) {
	w := p.w
	deliver, err := p.c.Receive(pk, w.now)
	if err != nil {
		l := p.link
		p.link = nil
		if !l.cut {
			l.closeByServer(LinkLost)
		}
		p.c.LinkDown(w.now)
		return
	}
	if deliver {
		p.got = append(p.got, numberIn(pk.Body))
	}
}

// send sends the next n numbered messages of the client's application.
func (p *player) send(n int) {
	p.w.t.Helper()
	for range n {
		if err := p.c.Send(codec.Message, number(p.sent+1)); err != nil {
			p.w.t.Fatalf("send %d: %v", p.sent+1, err)
		}
		p.sent++
	}
	p.w.flush()
}

// cut pulls the cable.
func (p *player) cut() {
	if p.link != nil {
		p.link.cutNow()
	}
}

// lose cuts the link and lets the client notice at once, as a pulled cable on
// its own side would.
func (p *player) lose() {
	p.cut()
	p.link = nil
	p.c.LinkDown(p.w.now)
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
			if uint64(len(p.seat.got)) > p.sent || uint64(len(p.got)) > p.seat.sent {
				w.t.Fatalf("%s: more arrived than was sent", p.user)
			}
			e := &p.seat.s.end
			if e.acked > e.wrote || e.wrote > e.sent || e.next > e.sent+1 || e.next <= e.acked {
				w.t.Fatalf("%s: counts acked %d wrote %d sent %d next %d", p.user, e.acked, e.wrote, e.sent, e.next)
			}
		}
	}
	w.srv.table.All(func(id ID, st *seat) bool {
		live++
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
