// SPDX-License-Identifier: MIT

package client_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xtaci/kcp-go/v5"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
)

// TestMain reports goroutines that a client left behind: ours, and those of
// kcp-go's sessions. What packages start when they are imported stays.
func TestMain(m *testing.M) {
	code := m.Run()
	left := leaked()
	for i := 0; i < 2000 && len(left) > 0; i++ {
		time.Sleep(10 * time.Millisecond)
		closedListeners.Range(func(l, _ any) bool {
			l.(kcpListener).closeWaiting()
			return true
		})
		left = leaked()
	}
	if code == 0 && len(left) > 0 {
		fmt.Printf("%d goroutines are left:\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}

func leaked() (stacks []string) {
	buf := make([]byte, 4<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	for _, stack := range all[1:] { // the first is this one
		if strings.Contains(stack, "lifeline/framework") || strings.Contains(stack, "UDPSession") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// calm is a server that takes nobody for dead because the machine was busy.
var calm = session.Config{Tick: 20 * time.Millisecond}

// fast is a server that dictates short times and a client that hardly waits.
var fast = session.Config{Interval: 200 * time.Millisecond, Timeout: 800 * time.Millisecond, Tick: 20 * time.Millisecond, Grace: 5 * time.Second, ReconnectWindow: time.Millisecond}

func quick(cfg client.Config) client.Config {
	cfg.MinDelay = cmp.Or(cfg.MinDelay, 10*time.Millisecond)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

var carriers = []string{"tcp", "plain-kcp", "ws"}

// listen makes s serve a carrier and returns its address.
func (s *server) listen(carrier string) string {
	var l net.Listener
	var err error
	if carrier != "plain-kcp" {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		if carrier == "ws" && err == nil {
			l = &wsListener{Listener: l, t: s.t}
		}
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

// closedListeners are all kcpListeners that were closed.
var closedListeners sync.Map

// Close ends the sessions that came and were not accepted, too: datagrams of one
// that is over, which come late, begin another. kcp-go leaves them.
func (l kcpListener) Close() error {
	err := l.Listener.Close()
	l.closeWaiting()
	closedListeners.Store(l, nil) // it may be about to take in the last datagram
	return err
}

// closeWaiting ends those of a listener that is closed.
func (l kcpListener) closeWaiting() {
	for range 64 { // its choice between those that wait and the end is a random one
		if s, err := l.AcceptKCP(); err == nil {
			_ = s.Close()
		}
	}
}

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
	states []client.Event
	bad    []client.Event // attempts that failed
}

func (r *recorder) note(s client.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Kind == client.EventFailed {
		r.bad = append(r.bad, s)
	} else {
		r.states = append(r.states, s)
	}
}

func (r *recorder) all() []client.Event {
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

// failed returns the attempts that failed.
func (r *recorder) failed() []client.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bad)
}

func (r *recorder) has(kind client.EventKind) bool {
	return slices.ContainsFunc(r.all(), func(s client.Event) bool { return s.Kind == kind })
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
	if err := c.Connect(within(t, 20*time.Second)); err != nil {
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
		srv := newServer(t, calm)
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{})
		var got []uint64
		done := make(chan struct{})
		client.OnMessage(c, "tick", func(n uint64) {
			if got = append(got, n); n == 500 {
				close(done)
			}
		})
		connect(t, c)
		ctx := within(t, 20*time.Second)

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

// The server is told of an answer that it does not take, and of a refusal without its text.
func TestAnswerThatIsTooLarge(t *testing.T) {
	cfg := calm
	cfg.MaxBody = 512
	srv := newServer(t, cfg)
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{})
	client.OnRequest(c, "much", func(int) ([]byte, error) { return make([]byte, 600), nil })
	client.OnRequest(c, "say", func(int) (int, error) {
		return 0, &codec.Error{Code: codec.GameError + 7, Text: strings.Repeat("x", 600)}
	})
	connect(t, c)
	srv.do(func() {
		for i, route := range []string{"much", "say"} {
			srv.last().send(codec.Request, codec.AppendRequest(nil, uint64(i), codec.NamedRoute(route), []byte{1}))
		}
		srv.last().flush()
	})
	until(t, "both are answered", func() (all bool) { srv.do(func() { all = len(srv.last().answer) == 2 }); return all })
	for i, want := range []codec.Error{{Code: codec.ErrorInternal, Text: "internal error"}, {Code: codec.GameError + 7}} {
		if _, code, text, err := codec.ParseFailure(srv.last().answer[uint64(i)]); err != nil || code != want.Code || string(text) != want.Text {
			t.Errorf("answer %d: %d %q, %v", i, code, text, err)
		}
	}
}

// A body larger than the largest segment, chunk and buffer must pass.
func TestLargestBody(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, calm)
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{})
		connect(t, c)
		in := make([]byte, codec.DefaultMaxBody-64)
		in[7], in[60000] = 7, 8
		var out []byte
		if err := c.Request(within(t, 20*time.Second), "echo", in, &out); err != nil || !slices.Equal(in, out) {
			t.Fatalf("%d bytes came back as %d: %v", len(in), len(out), err)
		}
		if err := c.Send("n", make([]byte, codec.DefaultMaxBody)); !errors.Is(err, codec.ErrTooLarge) {
			t.Fatalf("a body above the limit: %v", err)
		}
	})
}

// Nothing is lost and nothing comes twice, in either direction, however often
// the link is cut; and requests find their answers.
func TestRefusedLogin(t *testing.T) {
	srv := newServer(t, calm)
	srv.refuse = &session.CloseError{Code: session.Denied, Text: "who are you?"}
	addr := srv.listen("tcp")
	var rec recorder
	c, err := client.New([]string{addr}, client.Config{OnEvent: rec.note, Ticket: func(context.Context) ([]byte, error) { return []byte("nobody"), nil }})
	if err != nil {
		t.Fatal(err)
	}
	var end *session.CloseError
	if err := c.Connect(within(t, 20*time.Second)); !errors.As(err, &end) || end.Code != session.Denied || !end.Remote {
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
	synctest.Test(t, func(t *testing.T) {
		_, err := client.Dial(within(t, 100*time.Millisecond), []string{"tcp://server:1"}, quick(client.Config{
			Dial: func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED },
		}))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
			t.Fatalf("Dial: %v", err)
		}
	})
}

func TestCloseSaysByeBehindWhatWasSent(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		for range 5 {
			srv := newServer(t, calm)
			var rec recorder
			c := newClient(t, []string{srv.listen(carrier)}, client.Config{OnEvent: rec.note, CloseTimeout: time.Minute})
			connect(t, c)
			for i := range 100 {
				if err := c.Send("n", i+1); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			_ = c.Close()
			if d := time.Since(began); d > 30*time.Second {
				t.Fatalf("Close took %v", d) // its own limit
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

func TestFullBufferRefusesAndDropsNothing(t *testing.T) {
	srv := newServer(t, calm)
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
	eachCarrier(t, func(t *testing.T, carrier string) { again(t, func() bool { return slowHandler(t, carrier) }) })
}

// again tries what a machine that stands still may spoil, a few times.
func again(t *testing.T, so func() bool) {
	t.Helper()
	for range 5 {
		if so() {
			return
		}
	}
	t.Fatal("the machine stood still each time")
}

func slowHandler(t *testing.T, carrier string) bool {
	srv := newServer(t, fast)
	c := newClient(t, []string{srv.listen(carrier)}, client.Config{InboxPackets: 40})
	var got []uint64
	var n atomic.Int64
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	client.OnMessage(c, "tick", func(m uint64) { <-gate; got = append(got, m); n.Add(1) })
	connect(t, c)
	// Far more than the inbox takes, over far longer than the timeout.
	var longest time.Duration
	for range 100 {
		began := time.Now()
		srv.do(func() { srv.last().push(5) })
		time.Sleep(15 * time.Millisecond)
		longest = max(longest, time.Since(began))
	}
	s := c.Stats()
	if s.Losses > 0 && longest > fast.Timeout/4 { // the machine stood still
		return false
	}
	if s.Holds == 0 || s.InPackets > 3*40 {
		t.Fatalf("%+v", s)
	}
	srv.do(func() {
		if q, _ := srv.last().s.Queued(); srv.last().held == 0 || q == 0 {
			t.Fatalf("held %d times, %d wait at the server", srv.last().held, q)
		}
	})
	open()
	until(t, "all arrived", func() bool { return n.Load() == 500 })
	_ = c.Close()
	<-c.Done()
	inOrder(t, "client", got, 500)
	return true
}

// A peer that ignores HOLD fills the inbox and no more: it waits in the socket,
// and its link does not die of that.
func TestServerThatIgnoresHoldWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := fast
		cfg.SendPackets, cfg.SendBytes = 4000, 1<<22
		srv := newServer(t, cfg)
		c := newClient(t, []string{"tcp://server:1"}, client.Config{Dial: pipes(srv, always), InboxPackets: 20})
		var n atomic.Int64
		gate := make(chan struct{})
		client.OnMessage(c, "tick", func(uint64) { <-gate; n.Add(1) })
		connect(t, c)
		srv.do(func() { srv.last().push(3900) }) // in one go: it hears HOLD too late
		time.Sleep(2 * time.Second)
		if s := c.Stats(); s.InPackets > 2000 || s.Losses != 0 {
			t.Fatalf("%+v", s)
		}
		close(gate)
		until(t, "all arrived", func() bool { return n.Load() == 3900 })
	})
}

// A handler may ask the server although the server is held.
func TestRequestInAHandlerOfAFullInbox(t *testing.T) {
	srv := newServer(t, calm)
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{InboxPackets: 16})
	var n atomic.Int64
	client.OnMessage(c, "tick", func(m uint64) {
		time.Sleep(time.Millisecond)
		var back uint64
		if err := c.Request(within(t, 20*time.Second), "echo", m, &back); err != nil || back != m {
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

func TestKickEndsTheClient(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, calm)
		var rec recorder
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{OnEvent: rec.note})
		connect(t, c)
		var end *codec.Error
		if err := c.Request(within(t, 20*time.Second), "end", session.Kicked, nil); !errors.As(err, &end) || end.Code != codec.ErrorReset {
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
func TestRequestEndsWithItsContext(t *testing.T) {
	srv := newServer(t, calm)
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{})
	connect(t, c)
	if err := c.Request(within(t, 20*time.Millisecond), "never", 1, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if err := c.Request(within(t, 20*time.Second), "echo", 1, nil); err != nil {
		t.Fatal(err)
	}
}

func TestCallbacksMayCallEverything(t *testing.T) {
	srv := newServer(t, calm)
	var c *client.Client
	over := make(chan struct{})
	c = newClient(t, []string{srv.listen("tcp")}, client.Config{OnEvent: func(s client.Event) {
		switch s.Kind {
		case client.EventOpened:
			_ = c.Send("n", 1)
			_ = c.Request(context.Background(), "push", 1, nil)
			c.Cut()
		case client.EventClosed:
			close(over)
		}
	}})
	client.OnMessage(c, "tick", func(uint64) { _ = c.Close() })
	var end *session.CloseError
	if err := c.Connect(within(t, 20*time.Second)); err != nil && (!errors.As(err, &end) || end.Code != session.Left) {
		t.Fatal(err) // it may be closed before Connect returns
	}
	<-over
}

func TestMessagesWithoutHandler(t *testing.T) {
	srv := newServer(t, calm)
	got := make(chan string, 10)
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{OnMessage: func(route string, p codec.Raw) { got <- fmt.Sprintf("%s %x", route, []byte(p)) }})
	connect(t, c)
	srv.do(func() { srv.last().push(1) })
	if m := <-got; m != "tick 01" {
		t.Fatal(m)
	}
}

func TestWrongUse(t *testing.T) {
	for _, addrs := range [][]string{nil, {"localhost:1"}, {"kcp://localhost:1"}, {"tcp://localhost"}, {"tcp://:1"}, {"tcp://x:99999"}, {"tcp://x:0"}, {"tcp://x:-1"}, {"plain-kcp://x:65536"}, {"ws://x:99999/"}, {"tcp://x:nosuchservice"}} {
		if _, err := client.New(addrs, client.Config{}); err == nil {
			t.Errorf("%q passes", addrs)
		}
	}
	for _, cfg := range []client.Config{{Token: "x"}, {MaxPackets: -1}, {InboxBytes: -1}, {DialTimeout: -1}, {TicketTimeout: -1}, {MinDelay: 2, MaxDelay: 1}, {MaxDelay: 1}, {OpeningTimeout: 1 << 60}} {
		if _, err := client.New([]string{"tcp://localhost:1"}, cfg); err == nil {
			t.Errorf("%+v passes", cfg)
		} else if cfg.Token == "" && strings.Contains(err.Error(), "Token:") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	// The error names the field, and no other one.
	for field, cfg := range map[string]client.Config{
		"DialTimeout": {DialTimeout: 5}, "OpeningTimeout": {OpeningTimeout: 5}, "TicketTimeout": {TicketTimeout: 10}, "Fallback": {Fallback: 2},
		"MinDelay": {MinDelay: 500}, "MaxDelay": {MaxDelay: 30}, "CloseTimeout": {CloseTimeout: 200}, "MinDelay 1m0s": {MinDelay: time.Minute},
	} {
		if _, err := client.New([]string{"tcp://localhost:1"}, cfg); err == nil || !strings.Contains(err.Error(), field) || strings.Contains(err.Error(), "Token") {
			t.Errorf("%s: %v", field, err)
		}
	}
	c, err := client.New([]string{"tcp://localhost:1"}, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send("", 1); !errors.Is(err, codec.ErrRoute) {
		t.Error(err)
	}
	client.OnMessage(c, "x", func(int) {})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a second handler passes")
			}
		}()
		client.OnMessage(c, "x", func(int) {})
	}()
	_ = c.Close()
	<-c.Done()
	if err := c.Connect(context.Background()); err == nil {
		t.Error("Connect after Close passes")
	}
}

// The socket of a link that was cut says nothing; the server finds out by
// itself, or by the resume.
// A network that falls silent is found after the server's timeout, and not
// before.
// A port that nobody listens on is known at once, even on KCP.
// However a dial is overtaken, one socket is kept.
// Four goroutines, and one of KCP's, however often the link is lost.
