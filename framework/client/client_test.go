// SPDX-License-Identifier: MIT

package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xtaci/kcp-go/v5"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
)

// TestMain reports goroutines that a client left behind. kcp-go starts some
// when it is imported: they are the baseline.
func TestMain(m *testing.M) {
	time.Sleep(10 * time.Millisecond)
	before := runtime.NumGoroutine()
	code := m.Run()
	if code == 0 && !settlesAt(before) {
		buf := make([]byte, 1<<20)
		fmt.Printf("goroutines: %d, before the tests %d\n%s\n", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		code = 1
	}
	os.Exit(code)
}

func settlesAt(most int) bool {
	for range 200 {
		if runtime.NumGoroutine() <= most {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// fast is a server that dictates short times and a client that hardly waits.
var fast = session.Config{Interval: 200 * time.Millisecond, Timeout: 800 * time.Millisecond, Tick: 20 * time.Millisecond, Grace: 5 * time.Second, ReconnectWindow: time.Millisecond}

func quick(cfg client.Config) client.Config {
	cfg.MinDelay = 10 * time.Millisecond
	return cfg
}

var carriers = []string{"tcp", "plain-kcp"}

// listen makes s serve a carrier and returns its address.
func (s *server) listen(carrier string) string {
	var l net.Listener
	var err error
	if carrier == "tcp" {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	} else {
		var k *kcp.Listener
		k, err = kcp.ListenWithOptions("127.0.0.1:0", nil, 0, 0)
		l = kcpListener{k}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.serve(l)
	return carrier + "://" + l.Addr().String()
}

type kcpListener struct{ *kcp.Listener }

func (l kcpListener) Accept() (net.Conn, error) {
	s, err := l.AcceptKCP()
	if err != nil {
		return nil, err
	}
	s.SetNoDelay(1, 10, 2, 1)
	s.SetWriteDelay(false)
	s.SetACKNoDelay(true)
	s.SetWindowSize(256, 256)
	return s, nil
}

// recorder notes what becomes of a session.
type recorder struct {
	mu     sync.Mutex
	states []client.State
}

func (r *recorder) note(s client.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states = append(r.states, s)
}

func (r *recorder) all() []client.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.states)
}

func (r *recorder) String() string {
	var b strings.Builder
	for _, s := range r.all() {
		fmt.Fprintf(&b, "%v ", s.Kind)
	}
	return strings.TrimSpace(b.String())
}

func (r *recorder) has(kind client.Kind) bool {
	return slices.ContainsFunc(r.all(), func(s client.State) bool { return s.Kind == kind })
}

// newClient makes a client that is closed with the test.
func newClient(t testing.TB, addrs []string, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.New(addrs, quick(cfg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		<-c.Done()
	})
	return c
}

func connect(t testing.TB, c *client.Client) {
	t.Helper()
	if err := c.Connect(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func eachCarrier(t *testing.T, f func(t *testing.T, carrier string)) {
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) { f(t, carrier) })
	}
}

func TestRequestAndPushInOrder(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, fast)
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{})
		var got []uint64
		done := make(chan struct{})
		client.On(c, "tick", func(n uint64) {
			if got = append(got, n); n == 500 {
				close(done)
			}
		})
		connect(t, c)
		ctx := within(t, 10*time.Second)

		type pair struct{ A, B int }
		var p pair
		if err := c.Request(ctx, "echo", pair{1, 2}, &p); err != nil || p != (pair{1, 2}) {
			t.Fatalf("echo: %v %v", p, err)
		}
		var failed *codec.Error
		if err := c.Request(ctx, "fail", nil, nil); !errors.As(err, &failed) || failed.Code != codec.GameError+7 || failed.Text != "as you wish" {
			t.Fatalf("a failure came as %v", err)
		}
		if err := c.Join(ctx, "arena", "7"); err != nil {
			t.Fatal(err)
		}
		if err := c.Leave(ctx); err != nil {
			t.Fatal(err)
		}
		if err := c.Request(ctx, "push", 500, nil); err != nil {
			t.Fatal(err)
		}
		<-done
		inOrder(t, "client", got, 500)
		if s := c.Stats(); s.Carrier != carrier || s.Opens != 1 || s.Losses != 0 || s.Received < 505 {
			t.Fatalf("%+v", s)
		}
		if c.Token() == "" || c.ID() == (session.ID{}) {
			t.Fatal("an open session has neither token nor id")
		}
		until(t, "a round trip was measured", func() bool { return c.RTT() > 0 })
	})
}

// A body larger than the largest segment, chunk and buffer must pass.
func TestLargestBody(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, fast)
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{})
		connect(t, c)
		in := make([]byte, codec.DefaultMaxBody-64)
		in[7], in[60000] = 7, 8
		var out []byte
		if err := c.Request(within(t, 10*time.Second), "echo", in, &out); err != nil || !slices.Equal(in, out) {
			t.Fatalf("%d bytes came back as %d: %v", len(in), len(out), err)
		}
		if err := c.Send("n", make([]byte, codec.DefaultMaxBody)); !errors.Is(err, codec.ErrTooLarge) {
			t.Fatalf("a body above the limit: %v", err)
		}
	})
}

// Nothing is lost and nothing comes twice, in either direction, however often
// the link is cut; and requests find their answers.
func TestCutsMidTraffic(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, fast)
		var rec recorder
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{OnState: rec.note})
		var got []uint64
		var n atomic.Int64
		client.On(c, "tick", func(m uint64) { got = append(got, m); n.Add(1) })
		connect(t, c)
		ctx := within(t, 30*time.Second)
		const rounds, each = 15, 40
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range rounds {
				time.Sleep(time.Duration(5+i) * time.Millisecond)
				c.Cut()
			}
		})
		for i := range rounds * each {
			if err := c.Send("n", i+1); err != nil {
				t.Fatal(err)
			}
			if i%each == 0 {
				srv.do(func() { srv.last().push(each) })
				var back int
				if err := c.Request(ctx, "ask", i/each+1, &back); err != nil || back != i/each+1 {
					t.Fatalf("request %d came back as %d: %v", i/each+1, back, err)
				}
			}
		}
		wg.Wait()
		until(t, "all arrived", func() bool { return len(srv.numbers()) >= rounds*each && n.Load() >= rounds*each })
		until(t, "all acknowledged", func() bool { c.Hurry(); return c.Stats().OutPackets == 0 })
		inOrder(t, "server", srv.numbers(), rounds*each)
		srv.do(func() { inOrder(t, "server's requests", srv.last().asked, rounds) })
		_ = c.Close()
		<-c.Done()
		inOrder(t, "client", got, rounds*each)
		s := c.Stats()
		if s.Opens != 1 || s.Resumes == 0 || s.Resets != 0 || s.Cuts == 0 {
			t.Fatalf("%+v", s)
		}
		t.Logf("%d cuts, %d resumes", s.Cuts, s.Resumes)
		want := client.Opened
		for i, s := range rec.all() {
			if s.Kind != want && !(i > 0 && s.Kind == client.Closed) {
				t.Fatalf("state %d in %v", i, &rec)
			}
			want = client.Lost
			if s.Kind == client.Lost {
				want = client.Resumed
			}
		}
	})
}

func TestRefusedLogin(t *testing.T) {
	srv := newServer(t, fast)
	srv.refuse = &session.CloseError{Code: session.Denied, Text: "who are you?"}
	addr := srv.listen("tcp")
	var rec recorder
	c, err := client.New([]string{addr}, client.Config{OnState: rec.note, Ticket: func() []byte { return []byte("nobody") }})
	if err != nil {
		t.Fatal(err)
	}
	var end *session.CloseError
	if err := c.Connect(within(t, 5*time.Second)); !errors.As(err, &end) || end.Code != session.Denied || !end.Remote {
		t.Fatalf("Connect: %v", err)
	}
	<-c.Done()
	if rec.String() != "closed" || !errors.Is(c.Err(), end) {
		t.Fatalf("states %v, Err %v", &rec, c.Err())
	}
	if !slices.Equal(srv.logins, []string{"nobody"}) {
		t.Fatalf("logins %q", srv.logins)
	}
	if err := c.Send("n", 1); !errors.Is(err, session.ErrClosed) {
		t.Fatalf("Send afterwards: %v", err)
	}
}

func TestConnectGivesUpWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, err = client.Dial(within(t, 100*time.Millisecond), []string{"tcp://" + addr}, quick(client.Config{}))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("Dial: %v", err)
	}
}

func TestSilentCarrierIsLeftForTheNext(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		dumb, srv := newServer(t, fast), newServer(t, fast)
		dumb.mute = true
		c := newClient(t, []string{dumb.listen(carrier), srv.listen("tcp")}, client.Config{OpeningTimeout: 100 * time.Millisecond})
		connect(t, c)
		for range 3 { // and what worked is tried first from now on
			resumes := c.Stats().Resumes
			c.Cut()
			until(t, "resumed", func() bool { return c.Stats().Resumes > resumes })
		}
		if s := c.Stats(); s.Carrier != "tcp" || s.Dials != 5 {
			t.Fatalf("%+v", s)
		}
	})
}

func TestRefusedDialIsLeftForTheNext(t *testing.T) {
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	_ = l.Close()
	srv := newServer(t, fast)
	c := newClient(t, []string{"tcp://" + l.Addr().String(), srv.listen("plain-kcp")}, client.Config{})
	connect(t, c)
	if s := c.Stats(); s.Carrier != "plain-kcp" || s.Dials != 2 || s.Failures != 1 {
		t.Fatalf("%+v", s)
	}
}

func TestCloseSaysByeBehindWhatWasSent(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		for range 5 {
			srv := newServer(t, fast)
			var rec recorder
			c := newClient(t, []string{srv.listen(carrier)}, client.Config{OnState: rec.note})
			connect(t, c)
			for i := range 100 {
				if err := c.Send("n", i+1); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			_ = c.Close()
			if d := time.Since(began); d > 600*time.Millisecond {
				t.Fatalf("Close took %v", d)
			}
			<-c.Done()
			until(t, "the server heard it", func() bool { srv.mu.Lock(); defer srv.mu.Unlock(); return srv.byes == 1 })
			inOrder(t, "server", srv.numbers(), 100)
			if rec.String() != "opened closed" {
				t.Fatalf("states %v", &rec)
			}
			var end *session.CloseError
			if !errors.As(c.Err(), &end) || end.Code != session.Left {
				t.Fatalf("Err %v", c.Err())
			}
		}
	})
}

func TestTokenResumesAfterRestart(t *testing.T) {
	srv := newServer(t, fast)
	addr := srv.listen("tcp")
	first := newClient(t, []string{addr}, client.Config{})
	connect(t, first)
	token, id := first.Token(), first.ID()
	first.Cut() // the process dies: nobody says goodbye
	first.Pause()
	var rec recorder
	second := newClient(t, []string{addr}, client.Config{Token: token, OnState: rec.note})
	connect(t, second)
	if err := second.Request(within(t, 5*time.Second), "echo", 1, nil); err != nil {
		t.Fatal(err)
	}
	if second.ID() != id || second.Token() != token || rec.String() != "reset" || len(srv.seats) != 1 {
		t.Fatalf("states %v, %d sessions", &rec, len(srv.seats))
	}
}

func TestOldTokenLogsIn(t *testing.T) {
	srv := newServer(t, fast)
	token := session.Token(session.ID{1}, session.Key{2})
	var rec recorder
	var asked atomic.Int32
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{
		Token: token, OnState: rec.note, Ticket: func() []byte { asked.Add(1); return []byte("me") },
	})
	connect(t, c)
	until(t, "opened", func() bool { return rec.String() == "gone opened" })
	if !slices.Equal(srv.logins, []string{"me"}) || asked.Load() != 1 {
		t.Fatalf("logins %q, %d tickets", srv.logins, asked.Load())
	}
}

func TestFullBufferRefusesAndDropsNothing(t *testing.T) {
	srv := newServer(t, fast)
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{MaxPackets: 10})
	connect(t, c)
	c.Pause()
	for i := range 10 {
		if err := c.Send("n", i+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Send("n", 11); !errors.Is(err, session.ErrFull) {
		t.Fatalf("the 11th: %v", err)
	}
	if err := c.Request(context.Background(), "echo", 1, nil); !errors.Is(err, session.ErrFull) {
		t.Fatalf("a request: %v", err)
	}
	c.Hurry()
	until(t, "all arrived", func() bool { return len(srv.numbers()) == 10 })
	inOrder(t, "server", srv.numbers(), 10)
}

func TestSlowHandlerHoldsTheServer(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, fast)
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{InboxPackets: 40})
		var got []uint64
		var n atomic.Int64
		gate := make(chan struct{})
		client.On(c, "tick", func(m uint64) { <-gate; got = append(got, m); n.Add(1) })
		connect(t, c)
		// Far more than the inbox takes, over far longer than the timeout.
		for range 100 {
			srv.do(func() { srv.last().push(5) })
			time.Sleep(15 * time.Millisecond)
		}
		if s := c.Stats(); s.Holds == 0 || s.InPackets > 3*40 || s.Losses != 0 {
			t.Fatalf("%+v", s)
		}
		srv.do(func() {
			if q, _ := srv.last().s.Queued(); srv.last().held == 0 || q == 0 {
				t.Fatalf("held %d times, %d wait at the server", srv.last().held, q)
			}
		})
		close(gate)
		until(t, "all arrived", func() bool { return n.Load() == 500 })
		_ = c.Close()
		<-c.Done()
		inOrder(t, "client", got, 500)
	})
}

// A peer that ignores HOLD fills the inbox and no more: it waits in the socket,
// and its link does not die of that.
func TestServerThatIgnoresHoldWaits(t *testing.T) {
	cfg := fast
	cfg.SendPackets, cfg.SendBytes = 4000, 1<<22
	srv := newServer(t, cfg)
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{InboxPackets: 20})
	var n atomic.Int64
	gate := make(chan struct{})
	client.On(c, "tick", func(uint64) { <-gate; n.Add(1) })
	connect(t, c)
	srv.do(func() { srv.last().push(3900) }) // in one go: it hears HOLD too late
	time.Sleep(2 * time.Second)
	if s := c.Stats(); s.InPackets > 2000 || s.Losses != 0 {
		t.Fatalf("%+v", s)
	}
	close(gate)
	until(t, "all arrived", func() bool { return n.Load() == 3900 })
}

// A handler may ask the server although the server is held.
func TestRequestInAHandlerOfAFullInbox(t *testing.T) {
	srv := newServer(t, fast)
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{InboxPackets: 16})
	var n atomic.Int64
	client.On(c, "tick", func(m uint64) {
		time.Sleep(time.Millisecond)
		var back uint64
		if err := c.Request(within(t, 5*time.Second), "echo", m, &back); err != nil || back != m {
			t.Errorf("request %d: %d %v", m, back, err)
		}
		n.Add(1)
	})
	connect(t, c)
	srv.do(func() { srv.last().push(60) })
	until(t, "all handled", func() bool { return n.Load() == 60 })
	if s := c.Stats(); s.Holds == 0 {
		t.Fatalf("%+v", s)
	}
}

func TestPauseAndHurry(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, fast)
		var rec recorder
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{OnState: rec.note, MinDelay: time.Minute})
		connect(t, c)
		c.Pause()
		until(t, "the server knows", func() bool { srv.mu.Lock(); defer srv.mu.Unlock(); return srv.pauses == 1 })
		srv.do(func() { srv.last().push(3) })
		if err := c.Send("n", 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		if s := c.Stats(); s.Carrier != "" || s.Dials != 1 {
			t.Fatalf("paused: %+v", s)
		}
		c.Hurry()
		until(t, "resumed", func() bool { return rec.String() == "opened lost resumed" })
		until(t, "delivered", func() bool { return len(srv.numbers()) == 1 })
	})
}

func TestKickEndsTheClient(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, fast)
		var rec recorder
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{OnState: rec.note})
		connect(t, c)
		var end *codec.Error
		if err := c.Request(within(t, 5*time.Second), "end", session.Kicked, nil); !errors.As(err, &end) || end.Code != codec.ErrorReset {
			t.Fatalf("a request that ends it all: %v", err)
		}
		<-c.Done()
		if rec.String() != "opened closed" {
			t.Fatalf("states %v", &rec)
		}
		var why *session.CloseError
		if !errors.As(c.Err(), &why) || why.Code != session.Kicked {
			t.Fatalf("Err %v", c.Err())
		}
	})
}

// What the server never accepted is reported when the session is gone, not
// sent again.
func TestGoneReportsUndelivered(t *testing.T) {
	srv := newServer(t, fast)
	var rec recorder
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{OnState: rec.note})
	connect(t, c)
	if err := c.Request(within(t, 5*time.Second), "echo", 1, nil); err != nil {
		t.Fatal(err)
	}
	c.Pause()
	until(t, "away", func() bool { srv.mu.Lock(); defer srv.mu.Unlock(); return srv.pauses == 1 })
	if err := c.Send("n", 5); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() { failed <- c.Request(context.Background(), "echo", 6, nil) }()
	until(t, "both wait", func() bool { return c.Stats().OutPackets >= 2 })
	srv.do(func() { srv.end(srv.last(), session.Internal) })
	c.Hurry()
	until(t, "back", func() bool { return rec.String() == "opened lost gone opened" })
	u := rec.all()[2].Undelivered
	if len(u) != 2 || u[0].Route != "n" || u[0].Request || string(u[0].Payload) != "\x05" || u[1].Route != "echo" || !u[1].Request {
		t.Fatalf("undelivered %+v", u)
	}
	var end *codec.Error
	if err := <-failed; !errors.As(err, &end) || end.Code != codec.ErrorReset {
		t.Fatalf("the request ended with %v", err)
	}
	if n := srv.numbers(); len(n) != 0 {
		t.Fatalf("the new session got %v", n)
	}
}

func TestRequestEndsWithItsContext(t *testing.T) {
	srv := newServer(t, fast)
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{})
	connect(t, c)
	if err := c.Request(within(t, 20*time.Millisecond), "never", 1, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if err := c.Request(within(t, time.Second), "echo", 1, nil); err != nil {
		t.Fatal(err)
	}
}

func TestCallbacksMayCallEverything(t *testing.T) {
	srv := newServer(t, fast)
	var c *client.Client
	over := make(chan struct{})
	c = newClient(t, []string{srv.listen("tcp")}, client.Config{OnState: func(s client.State) {
		switch s.Kind {
		case client.Opened:
			_ = c.Send("n", 1)
			_ = c.Request(context.Background(), "push", 1, nil)
			c.Cut()
		case client.Closed:
			close(over)
		}
	}})
	client.On(c, "tick", func(uint64) { _ = c.Close() })
	connect(t, c)
	<-over
}

func TestMessagesWithoutHandler(t *testing.T) {
	srv := newServer(t, fast)
	got := make(chan string, 10)
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{OnMessage: func(route string, p codec.Raw) { got <- fmt.Sprintf("%s %x", route, []byte(p)) }})
	connect(t, c)
	srv.do(func() { srv.last().push(1) })
	if m := <-got; m != "tick 01" {
		t.Fatal(m)
	}
}

func TestWrongUse(t *testing.T) {
	for _, addrs := range [][]string{nil, {"localhost:1"}, {"kcp://localhost:1"}, {"tcp://localhost"}, {"tcp://:1"}} {
		if _, err := client.New(addrs, client.Config{}); err == nil {
			t.Errorf("%q passes", addrs)
		}
	}
	for _, cfg := range []client.Config{{Token: "x"}, {MaxPackets: -1}, {InboxBytes: -1}, {DialTimeout: -1}, {MinDelay: 2, MaxDelay: 1}} {
		if _, err := client.New([]string{"tcp://localhost:1"}, cfg); err == nil {
			t.Errorf("%+v passes", cfg)
		}
	}
	c, err := client.New([]string{"tcp://localhost:1"}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send("", 1); !errors.Is(err, codec.ErrRoute) {
		t.Error(err)
	}
	client.On(c, "x", func(int) {})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a second handler passes")
			}
		}()
		client.On(c, "x", func(int) {})
	}()
	_ = c.Close()
	<-c.Done()
	if err := c.Connect(context.Background()); err == nil {
		t.Error("Connect after Close passes")
	}
}

// The socket of a link that was cut says nothing; the server finds out by
// itself, or by the resume.
func TestCutIsSilent(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, fast)
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{MinDelay: 0})
		connect(t, c)
		if err := c.Request(within(t, 5*time.Second), "echo", 1, nil); err != nil {
			t.Fatal(err)
		}
		c.Cut()
		c.Pause() // no new link
		time.Sleep(fast.Timeout / 3)
		srv.do(func() {
			if srv.last().link == nil {
				t.Error("the server noticed at once")
			}
		})
		until(t, "the server missed it", func() bool { srv.mu.Lock(); defer srv.mu.Unlock(); return srv.last().link == nil })
	})
}

// A network that falls silent is found after the server's timeout, and not
// before.
func TestSilenceIsFound(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, fast)
		var rec recorder
		var dark atomic.Bool
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{
			OnState: rec.note, OpeningTimeout: 200 * time.Millisecond,
			Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, network, addr)
				return darkConn{nc, &dark}, err
			},
			ListenPacket: func() (net.PacketConn, error) {
				pc, err := net.ListenPacket("udp", "127.0.0.1:0")
				return darkSocket{pc, &dark}, err
			},
		})
		connect(t, c)
		dark.Store(true)
		began := time.Now()
		until(t, "lost", func() bool { return rec.has(client.Lost) })
		if d := time.Since(began); d < fast.Timeout-fast.Interval || d > fast.Timeout+500*time.Millisecond {
			t.Fatalf("found after %v", d)
		}
		dark.Store(false)
		until(t, "resumed", func() bool { return rec.has(client.Resumed) })
	})
}

// darkConn and darkSocket swallow what passes while it is dark, without a word.
type darkConn struct {
	net.Conn
	dark *atomic.Bool
}

func (c darkConn) Write(b []byte) (int, error) {
	if c.dark.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c darkConn) Read(b []byte) (int, error) {
	for {
		if n, err := c.Conn.Read(b); err != nil || !c.dark.Load() {
			return n, err
		}
	}
}

type darkSocket struct {
	net.PacketConn
	dark *atomic.Bool
}

func (c darkSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.dark.Load() {
		return len(b), nil
	}
	return c.PacketConn.WriteTo(b, to)
}

func (c darkSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		if n, from, err := c.PacketConn.ReadFrom(b); err != nil || !c.dark.Load() {
			return n, from, err
		}
	}
}

// A port that nobody listens on is known at once, even on KCP.
func TestNobodyAtThePort(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = pc.Close()
	srv := newServer(t, fast)
	c := newClient(t, []string{"plain-kcp://" + pc.LocalAddr().String(), srv.listen("tcp")}, client.Config{})
	began := time.Now()
	connect(t, c)
	if d := time.Since(began); d > 2*time.Second {
		t.Fatalf("took %v", d)
	}
}

// However a dial is overtaken, one socket is kept.
func TestOvertakenDialsLeaveOneSocket(t *testing.T) {
	srv := newServer(t, fast)
	addr := srv.listen("tcp")
	var open atomic.Int32
	slow := make(chan struct{})
	c := newClient(t, []string{addr}, client.Config{Dial: func(_ context.Context, network, addr string) (net.Conn, error) {
		<-slow // deaf to its context
		nc, err := net.Dial(network, addr)
		if err == nil {
			open.Add(1)
		}
		return &counted{Conn: nc, open: &open}, err
	}})
	up := make(chan error, 1)
	go func() { up <- c.Connect(within(t, 10*time.Second)) }()
	for range 5 {
		until(t, "dialling", func() bool { slow <- struct{}{}; return true })
		c.Pause()
		c.Hurry()
		c.Cut()
	}
	close(slow)
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	until(t, "one socket", func() bool { return open.Load() == 1 })
	time.Sleep(50 * time.Millisecond)
	if n := open.Load(); n != 1 || c.Stats().Opens != 1 {
		t.Fatalf("%d sockets, %+v", n, c.Stats())
	}
}

type counted struct {
	net.Conn
	open *atomic.Int32
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// Four goroutines, and two of kcp-go's, however often the link is lost.
func TestGoroutines(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, fast)
		addr := srv.listen(carrier)
		idle := runtime.NumGoroutine()
		c := newClient(t, []string{addr}, client.Config{})
		connect(t, c)
		for range 5 {
			resumes := c.Stats().Resumes
			c.Cut()
			until(t, "resumed", func() bool { return c.Stats().Resumes > resumes })
		}
		most := 4
		if carrier == "plain-kcp" {
			most += 2
		}
		ours := func() int {
			srv.mu.Lock()
			defer srv.mu.Unlock()
			n := 0
			for _, k := range srv.links {
				select {
				case <-k.gone:
				default:
					n += 2 // reader and writer of the test's server
					if carrier == "plain-kcp" {
						n++ // kcp-go's
					}
				}
			}
			return runtime.NumGoroutine() - idle - n
		}
		until(t, "the old links are forgotten", func() bool { return ours() <= most })
		_ = c.Close()
		<-c.Done()
		until(t, "nothing is left", func() bool { return ours() <= 0 })
	})
}
