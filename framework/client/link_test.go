// SPDX-License-Identifier: MIT

package client_test

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
)

// How links come and go.

func TestCutsMidTraffic(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, calm)
		var rec recorder
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{OnEvent: rec.note})
		var got []uint64
		var n atomic.Int64
		client.OnMessage(c, "tick", func(m uint64) { got = append(got, m); n.Add(1) })
		connect(t, c)
		ctx := within(t, time.Minute)
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
		want := client.EventOpened
		for i, s := range rec.all() {
			if s.Kind != want && !(i > 0 && s.Kind == client.EventClosed) {
				t.Fatalf("state %d in %v", i, &rec)
			}
			want = client.EventLost
			if s.Kind == client.EventLost {
				want = client.EventResumed
			}
		}
	})
}

func TestSilentCarrierIsLeftForTheNext(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		dumb, srv := newServer(t, calm), newServer(t, calm)
		dumb.mute = true
		c := newClient(t, []string{dumb.listen(carrier), srv.listen("tcp")}, client.Config{OpeningTimeout: time.Second})
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

// A server may send its players to several addresses; one that answers and
// opens nothing is not all there is.
func TestSentToASilentAddressGoesOnToTheNext(t *testing.T) {
	full, dumb, srv := newServer(t, calm), newServer(t, calm), newServer(t, calm)
	dumb.mute = true
	there := dumb.listen("plain-kcp") + " " + srv.listen("tcp")
	full.refuse = &session.CloseError{Code: session.Moved, Text: there}
	c := newClient(t, []string{full.listen("tcp"), full.listen("plain-kcp")}, quick(client.Config{OpeningTimeout: time.Second}))
	connect(t, c)
	if s := c.Stats(); s.Carrier != "tcp" || len(srv.logins) != 1 {
		t.Fatalf("%+v, %d logins", s, len(srv.logins))
	}
}

// A server that leaves a link through which nothing comes, while its own words arrive,
// must not be dialled the same way again.
func TestStuckLinkThatTheServerEndsIsLeftForTheNext(t *testing.T) {
	const interval = 400 * time.Millisecond
	for _, bye := range []bool{false, true} {
		srv := newServer(t, session.Config{Interval: interval, Timeout: 5 * interval})
		c := newClient(t, []string{srv.listen("tcp"), srv.listen("ws")}, quick(client.Config{}))
		connect(t, c)
		srv.mu.Lock() // from here on it answers nothing
		k := srv.seats[0].link
		for range 9 {
			time.Sleep(interval / 2)
			_, _ = k.nc.Write(codec.AppendFrame(nil, codec.Header{Kind: codec.Heartbeat}, nil))
		}
		if bye {
			_, _ = k.nc.Write(session.AppendBye(nil, &session.CloseError{Code: session.LinkLost}))
		}
		k.close()
		srv.mu.Unlock()
		until(t, "resumed", func() bool { return c.Stats().Resumes > 0 })
		if s := c.Stats(); s.Carrier != "ws" || s.Losses != 1 {
			t.Errorf("bye %v: %+v", bye, s)
		}
	}
}

func TestRefusedDialIsLeftForTheNext(t *testing.T) {
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	_ = l.Close()
	srv := newServer(t, calm)
	c := newClient(t, []string{"tcp://" + l.Addr().String(), srv.listen("plain-kcp")}, client.Config{})
	connect(t, c)
	if s := c.Stats(); s.Carrier != "plain-kcp" || s.Dials != 2 || s.Failures != 1 {
		t.Fatalf("%+v", s)
	}
}

func TestTokenResumesAfterRestart(t *testing.T) {
	srv := newServer(t, calm)
	addr := srv.listen("tcp")
	first := newClient(t, []string{addr}, client.Config{})
	connect(t, first)
	token, id := first.Token(), first.ID()
	first.Cut() // the process dies: nobody says goodbye
	first.Pause()
	var rec recorder
	second := newClient(t, []string{addr}, client.Config{Token: token, OnEvent: rec.note})
	connect(t, second)
	if err := second.Request(within(t, 20*time.Second), "echo", 1, nil); err != nil {
		t.Fatal(err)
	}
	if second.ID() != id || second.Token() != token || rec.String() != "reset" || len(srv.seats) != 1 {
		t.Fatalf("states %v, %d sessions", &rec, len(srv.seats))
	}
}

func TestOldTokenLogsIn(t *testing.T) {
	srv := newServer(t, calm)
	token := session.Token(session.ID{1}, session.Key{2}, session.Key{})
	var rec recorder
	var asked atomic.Int32
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{
		Token: token, OnEvent: rec.note, Ticket: func(context.Context) ([]byte, error) { asked.Add(1); return []byte("me"), nil },
	})
	connect(t, c)
	until(t, "opened", func() bool { return rec.String() == "gone opened" })
	if !slices.Equal(srv.logins, []string{"me"}) || asked.Load() != 1 {
		t.Fatalf("logins %q, %d tickets", srv.logins, asked.Load())
	}
}

func TestPauseAndHurry(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, calm)
		var rec recorder
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{OnEvent: rec.note, MinDelay: time.Minute, MaxDelay: time.Hour, CloseTimeout: time.Minute})
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

func TestGoneReportsUndelivered(t *testing.T) {
	srv := newServer(t, calm)
	var rec recorder
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{OnEvent: rec.note, CloseTimeout: time.Minute})
	connect(t, c)
	if err := c.Request(within(t, 20*time.Second), "echo", 1, nil); err != nil {
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

// A goodbye that ends link and session at once is told as two events. What it leaves undelivered
// has the names of its own session, as what was sent by number.
func TestUndeliveredOfAGoodbyeIsToldByName(t *testing.T) {
	srv := newServer(t, calm)
	srv.routes = []string{"chat", "n", "echo"}
	var rec recorder
	c := newClient(t, []string{srv.listen("tcp")}, client.Config{OnEvent: rec.note})
	connect(t, c)
	if err := c.Request(within(t, 20*time.Second), "echo", 1, nil); err != nil {
		t.Fatal(err)
	}
	srv.do(func() { // it reads nothing meanwhile
		if err := c.Send("n", 5); err != nil {
			t.Error(err)
		}
		srv.end(srv.last(), session.Internal)
	})
	until(t, "back", func() bool { return rec.String() == "opened lost gone opened" })
	if u := rec.all()[2].Undelivered; len(u) != 1 || u[0].Route != "n" {
		t.Errorf("undelivered %+v", u)
	}
}

func TestCutIsSilent(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		again(t, func() (whole bool) {
			srv := newServer(t, fast)
			c := newClient(t, []string{srv.listen(carrier)}, client.Config{MinDelay: time.Minute, MaxDelay: time.Hour})
			connect(t, c)
			if err := c.Request(within(t, 20*time.Second), "echo", 1, nil); err != nil {
				t.Fatal(err)
			}
			cut := time.Now()
			c.Cut()
			c.Pause() // no new link
			until(t, "the server missed it", func() bool { srv.mu.Lock(); defer srv.mu.Unlock(); return srv.last().link == nil })
			srv.do(func() {
				// The client lets go of a stream twice the timeout after the cut: a server
				// that stood still till then has not been quick enough to miss it.
				late := srv.hungUp == 1 && srv.died == 0 && time.Since(cut) >= 3*fast.Timeout/2
				if whole = !late; whole && (srv.died != 1 || srv.hungUp != 0 || srv.pauses != 0) {
					t.Errorf("the server was told: %d died, %d hung up, %d paused", srv.died, srv.hungUp, srv.pauses)
				}
			})
			return whole
		})
	})
}

func TestSilenceIsFound(t *testing.T) {
	eachCarrier(t, func(t *testing.T, carrier string) {
		srv := newServer(t, fast)
		var rec recorder
		var latest atomic.Pointer[atomic.Bool] // of the link dialled last: it is dark
		dial := func() *atomic.Bool {
			dark := new(atomic.Bool)
			latest.Store(dark)
			return dark
		}
		c := newClient(t, []string{srv.listen(carrier)}, client.Config{
			OnEvent: rec.note, OpeningTimeout: 200 * time.Millisecond,
			Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, network, addr)
				return darkConn{nc, dial()}, err
			},
			ListenPacket: func() (net.PacketConn, error) {
				pc, err := net.ListenPacket("udp", "127.0.0.1:0")
				return darkSocket{pc, dial()}, err
			},
		})
		connect(t, c)
		latest.Load().Store(true)
		began := time.Now()
		until(t, "lost", func() bool { return rec.has(client.EventLost) })
		if d := time.Since(began); d < fast.Timeout-fast.Interval {
			t.Fatalf("found after %v, before its time", d)
		}
		until(t, "resumed", func() bool { return rec.has(client.EventResumed) })
	})
}

// A server that is not told so says its last words again, and waits.
func TestLastWordsAreAcknowledged(t *testing.T) {
	srv := newServer(t, calm)
	addr := srv.listen("plain-kcp")
	for range 20 {
		var k ackSocket
		c := newClient(t, []string{addr}, client.Config{ListenPacket: func() (net.PacketConn, error) {
			pc, err := net.ListenPacket("udp", "127.0.0.1:0")
			k = ackSocket{PacketConn: pc, owed: map[uint32]bool{}, closed: make(chan struct{})}
			return &k, err
		}})
		connect(t, c)
		srv.do(func() { srv.end(srv.last(), session.Kicked) })
		<-c.Done()
		<-k.closed
		k.mu.Lock() // a late acknowledgement may still be written
		owed := slices.Sorted(maps.Keys(k.owed))
		k.mu.Unlock()
		if len(owed) > 0 {
			t.Fatalf("closed, and owes the acknowledgement of %v", owed)
		}
	}
}

// ackSocket notes which segments of the server are not acknowledged.
type ackSocket struct {
	net.PacketConn
	mu     sync.Mutex
	owed   map[uint32]bool
	closed chan struct{}
}

func (k *ackSocket) segments(b []byte, f func(cmd byte, sn, una uint32)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(b) >= 24 {
		f(b[4], binary.LittleEndian.Uint32(b[12:]), binary.LittleEndian.Uint32(b[16:]))
		b = b[24+binary.LittleEndian.Uint32(b[20:]):]
	}
}

func (k *ackSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := k.PacketConn.ReadFrom(b)
	k.segments(b[:max(n, 0)], func(cmd byte, sn, _ uint32) {
		if cmd == 81 {
			k.owed[sn] = true
		}
	})
	return n, from, err
}

func (k *ackSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	k.segments(b, func(cmd byte, sn, una uint32) {
		if cmd == 82 {
			delete(k.owed, sn)
		}
		maps.DeleteFunc(k.owed, func(sn uint32, _ bool) bool { return sn < una })
	})
	return k.PacketConn.WriteTo(b, to)
}

func (k *ackSocket) Close() error {
	defer close(k.closed)
	return k.PacketConn.Close()
}

// darkConn and darkSocket swallow what passes while they are dark, without a word.
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

func TestNobodyAtThePort(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = pc.Close()
	srv := newServer(t, calm)
	c := newClient(t, []string{"plain-kcp://" + pc.LocalAddr().String(), srv.listen("tcp")}, client.Config{DialTimeout: time.Minute, OpeningTimeout: time.Minute})
	connect(t, c) // before any of these is over
}

func TestOvertakenDialsLeaveOneSocket(t *testing.T) {
	srv := newServer(t, calm)
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
	go func() { up <- c.Connect(within(t, 20*time.Second)) }()
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
			most++
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
