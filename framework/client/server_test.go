// SPDX-License-Identifier: MIT

package client_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/session"
)

// server is the least that a client can talk to: session.Session behind plain
// net.Conns, one lock around everything. What it promises its game is checked
// by the tests, not by itself.
type server struct {
	t      testing.TB
	cfg    session.Config
	start  time.Time
	stop   chan struct{}
	wg     sync.WaitGroup
	accept []io.Closer

	mu     sync.Mutex
	shard  session.Shard
	secret session.Secret
	table  *session.Table[*seat]
	links  []*peerLink
	mute   bool                        // accepts links and never says a word
	liar   bool                        // the test makes it break the protocol
	refuse *session.CloseError         // the answer to every HELLO
	routes []string                    // the dictionary
	behind []byte                      // comes with each WELCOME, in one piece
	later  []*session.CloseError       // what refuse is after the next HELLO, and so on
	stale  bool                        // refuses the next RESUME as overtaken
	logins []string                    // their tickets
	pairs  map[session.OpeningKey]bool // of an opening id and a ticket
	ends   []session.Code              // of sessions, in order
	byes   int
	pauses int
	died   int     // links that were silent for the timeout
	hungUp int     // links whose client has closed them
	over   bool    // the test has ended
	seats  []*seat // all there ever were
}

// seat is the server's record of one session.
type seat struct {
	s      session.Session
	key    session.OpeningKey
	link   *peerLink
	got    []uint64 // what the route "n" brought
	asked  []uint64 // what the route "ask" brought
	pushed uint64
	held   int // times that a heartbeat asked to hold
	answer map[uint64][]byte
}

// peerLink is one connection from a client.
type peerLink struct {
	srv   *server
	nc    net.Conn
	nonce session.Nonce
	seat  *seat
	epoch uint32
	out   chan []byte // deep enough for what the tests send
	gone  chan struct{}
	once  sync.Once
}

func newServer(t testing.TB, cfg session.Config) *server {
	t.Helper()
	full, err := cfg.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, cfg: full, start: time.Now(), stop: make(chan struct{}), table: session.NewTable[*seat](time.Minute, 100), pairs: map[session.OpeningKey]bool{}}
	s.shard.Config = &s.cfg
	s.shard.Rand = func() uint32 { return uint32(time.Since(s.start)) }
	_, _ = rand.Read(s.secret[:])
	s.wg.Go(s.tick)
	t.Cleanup(s.close)
	return s
}

// serve accepts links from l until the server closes.
func (s *server) serve(l net.Listener) {
	s.accept = append(s.accept, l)
	s.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			s.open(nc)
		}
	})
}

func (s *server) open(nc net.Conn) *peerLink {
	k := &peerLink{srv: s, nc: nc, out: make(chan []byte, 4096), gone: make(chan struct{})}
	_, _ = rand.Read(k.nonce[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		_ = nc.Close()
		return k
	}
	s.links = append(s.links, k)
	if !s.mute {
		k.write(session.AppendGreeting(nil, k.nonce))
	}
	s.wg.Go(k.writer)
	s.wg.Go(k.reader)
	return k
}

func (s *server) close() {
	for _, l := range s.accept {
		_ = l.Close()
	}
	close(s.stop)
	s.mu.Lock()
	s.over = true
	for _, k := range s.links {
		k.close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *server) now() time.Duration { return time.Since(s.start) }

func (s *server) tick() {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-s.stop:
			return
		}
		s.mu.Lock()
		for _, st := range s.seats {
			switch st.s.Check(s.now(), 0) {
			case session.Dead:
				s.died++
				st.detach()
			case session.Lapsed:
				s.end(st, session.Expired)
			}
			st.flush()
		}
		s.mu.Unlock()
	}
}

func (s *server) end(st *seat, code session.Code) {
	if !st.s.Close(code) {
		return
	}
	s.ends = append(s.ends, code)
	s.table.ForgetOpening(st.key)
	s.table.Remove(st.s.ID(), "", session.Tombstone{Code: code, Recv: st.s.Received()}, s.now())
	if k := st.link; k != nil {
		st.link = nil
		k.write(session.AppendBye(nil, &session.CloseError{Code: code}))
		close(k.out)
	}
}

// --- the link

func (k *peerLink) close() { k.once.Do(func() { close(k.gone); _ = k.nc.Close() }) }

func (k *peerLink) write(b []byte) {
	if len(b) == 0 {
		return
	}
	select {
	case k.out <- b:
	default:
		panic("the test server's queue is full")
	}
}

func (k *peerLink) writer() {
	for {
		select {
		case b, ok := <-k.out:
			if !ok {
				time.Sleep(50 * time.Millisecond) // a KCP stack sends in the background
				k.close()
				return
			}
			if _, err := k.nc.Write(b); err != nil {
				k.close()
				return
			}
		case <-k.gone:
			return
		}
	}
}

func (k *peerLink) reader() {
	var buf []byte
	b := make([]byte, 32<<10)
	for {
		n, err := k.nc.Read(b)
		buf = append(buf, b[:n]...)
		used := k.received(buf)
		buf = append(buf[:0], buf[used:]...)
		if err != nil {
			k.close()
			k.srv.mu.Lock()
			if st := k.seat; st != nil && st.link == k {
				k.srv.hungUp++
				st.detach()
			}
			k.srv.mu.Unlock()
			return
		}
	}
}

func (k *peerLink) received(buf []byte) (used int) {
	k.srv.mu.Lock()
	defer k.srv.mu.Unlock()
	for !k.srv.mute {
		p, n, err := codec.ParseFrame(buf[used:], 1<<20)
		if err != nil {
			panic(err) // no client of ours sends that
		}
		if n == 0 {
			break
		}
		used += n
		k.packet(p)
	}
	if k.seat != nil {
		k.seat.flush()
	}
	return used
}

func (st *seat) detach() {
	if st.link != nil && st.s.Detach(st.link.epoch, st.link.srv.now()) {
		st.link.close()
		st.link = nil
	}
}

func (st *seat) flush() {
	if k := st.link; k != nil {
		k.write(st.s.Output(nil, k.epoch, k.srv.now(), 1<<30))
	}
}

func (k *peerLink) packet(p codec.Packet) {
	s := k.srv
	if k.seat == nil {
		k.opening(p)
		return
	}
	st := k.seat
	if p.Kind == codec.Heartbeat && p.Flags&codec.Hold != 0 {
		st.held++
	}
	ev, err := st.s.Receive(k.epoch, p, s.now())
	if err != nil {
		if st.link == k {
			if !s.liar {
				s.t.Errorf("the server ends a link: %v", err)
			}
			st.detach()
		}
		return
	}
	if st.s.Confirmed() {
		s.table.ForgetOpening(st.key)
	}
	switch ev {
	case session.Deliver:
		st.deliver(p)
	case session.PeerDetach:
		s.pauses++
		st.detach()
	case session.PeerBye:
		s.byes++
		s.end(st, session.Left)
	}
}

func (k *peerLink) opening(p codec.Packet) {
	s := k.srv
	switch p.Kind {
	case codec.Hello:
		h, err := session.ParseHello(p)
		if err != nil || h.Nonce != k.nonce {
			panic(fmt.Sprint("HELLO: ", err))
		}
		s.logins = append(s.logins, string(h.Ticket))
		s.pairs[h.OpeningKey()] = true
		if s.refuse != nil {
			k.write(session.AppendRefused(nil, s.refuse))
			if len(s.later) > 0 {
				s.refuse, s.later = s.later[0], s.later[1:]
			}
			return
		}
		st, ok := s.table.Opening(h.OpeningKey())
		if ok {
			st.s.Reopen(s.now())
		} else {
			id, _ := session.NewID(1, 1, rand.Reader)
			st = &seat{key: h.OpeningKey(), answer: map[uint64][]byte{}}
			st.s.Open(&s.shard, id, s.now())
			s.table.Put(id, "", st)
			s.table.SetOpening(st.key, st)
			s.seats = append(s.seats, st)
		}
		k.bind(st)
		k.write(append(st.s.AppendWelcome(nil, s.secret.Keys().Of(st.s.ID()), session.Key{}, s.routes), s.behind...))
	case codec.Resume:
		k.resume(p)
	}
}

func (k *peerLink) resume(p codec.Packet) {
	s := k.srv
	r, err := session.ParseResume(p)
	if err != nil {
		panic(err)
	}
	refusal := &session.CloseError{Code: session.Unknown}
	if s.stale {
		s.stale = false
		k.write(session.AppendRefused(nil, &session.CloseError{Code: session.Stale, Detail: r.Attempt + 1000}))
		return
	}
	if s.secret.Keys().Verify(r, k.nonce) {
		st, ok := s.table.Get(r.ID)
		if ok {
			var answer []byte
			if answer, _, refusal = st.s.Resume(nil, r, s.now()); refusal == nil {
				k.bind(st)
				k.write(answer)
				return
			}
		} else if stone, ok := s.table.Tombstone(r.ID, s.now()); ok {
			refusal = stone.Refusal()
		}
	}
	k.write(session.AppendRefused(nil, refusal))
}

func (k *peerLink) bind(st *seat) {
	if old := st.link; old != nil && old != k {
		old.close()
	}
	st.link, k.seat, k.epoch = k, st, st.s.Epoch()
}

// --- the game

// deliver serves the routes "n" and "ask" (numbers, noted in their order; "ask"
// answers with the number), "fail", "never", "push" and "end".
func (st *seat) deliver(p codec.Packet) {
	if p.Kind == codec.Response || p.Kind == codec.Failure {
		id, _ := codec.EnvelopeID(p.Body)
		st.answer[id] = slices.Clone(p.Body)
		return
	}
	var id, n uint64
	var r codec.Route
	var payload []byte
	var err error
	if p.Kind == codec.Request {
		id, r, payload, err = codec.ParseRequest(p.Body)
	} else {
		r, payload, err = codec.ParseMessage(p.Body)
	}
	if err != nil {
		panic(err)
	}
	if err := codec.DecodeBody(payload, &n); err != nil {
		n = 0
	}
	route := r.String()
	if r.IsNumber() {
		route = st.link.srv.routes[r.Number()]
	}
	switch route {
	case "n":
		st.got = append(st.got, n)
	case "ask":
		st.asked = append(st.asked, n)
		st.send(codec.Response, codec.AppendResponse(nil, id, payload))
	case "echo", "room.join", "room.leave":
		st.send(codec.Response, codec.AppendResponse(nil, id, payload))
	case "fail":
		st.send(codec.Failure, codec.AppendFailure(nil, id, codec.GameError+7, "as you wish"))
	case "never":
	case "push":
		st.push(int(n))
		st.send(codec.Response, codec.AppendResponse(nil, id, payload))
	case "end":
		st.link.srv.end(st, session.Code(n))
	default:
		st.send(codec.Failure, codec.AppendFailure(nil, id, codec.ErrorNoRoute, ""))
	}
}

func (st *seat) send(kind codec.Kind, body []byte) {
	if err := st.s.Send(kind, body, false, 0); err != nil {
		panic(err)
	}
}

// push sends n more numbered messages on the route "tick".
func (st *seat) push(n int) {
	for range n {
		st.pushed++
		payload, _ := codec.AppendBody(nil, st.pushed)
		st.send(codec.Message, codec.AppendMessage(nil, codec.NamedRoute("tick"), payload))
	}
	st.flush()
}

// --- what tests ask

// do calls f with the lock held.
func (s *server) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// last returns the newest seat.
func (s *server) last() *seat { return s.seats[len(s.seats)-1] }

func (s *server) numbers() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.last().got)
}

func inOrder(t testing.TB, who string, got []uint64, want int) {
	t.Helper()
	for i, n := range got {
		if n != uint64(i+1) {
			t.Fatalf("%s: number %d came as the %d-th", who, n, i+1)
		}
	}
	if len(got) != want {
		t.Fatalf("%s: %d came, want %d", who, len(got), want)
	}
}

// until waits for what is to happen soon.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
