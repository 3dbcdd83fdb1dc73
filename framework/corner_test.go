// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// Corners where two things happen at once. Every test here failed before.

// TestLeaveThenJoinMovesBetweenRooms: who leaves and joins in one breath is out
// of the old room before it is in the new one.
func TestLeaveThenJoinMovesBetweenRooms(t *testing.T) {
	hallServer(t, framework.Config{}, func(e *env, d *diary, rooms *framework.Rooms[*hall]) {
		e.dial("ann", transport.TCP)
		p := e.srv.User("ann")[0]
		if err := rooms.Join(context.Background(), p, "1"); err != nil {
			t.Fatal(err)
		}
		// The room is busy, so that both wishes wait for it.
		rooms.Post("1", func(*hall) { time.Sleep(time.Second) })
		if err := p.Leave(); err != nil {
			t.Fatal(err)
		}
		if err := rooms.Join(context.Background(), p, "2"); err != nil {
			t.Fatal(err)
		}
		if rooms.Post("1", func(*hall) {}) {
			t.Error("the old room is still there")
		}
		if got, want := d.all(), []string{"ann joins", "ann leaves: left", "ann joins"}; !slices.Equal(got, want) {
			t.Errorf("the rooms saw %v, want %v", got, want)
		}
	})
}

// TestNothingRunsBeforeOnOpen: an inline handler waits, like all others, until
// the session before has ended and OnOpen has returned.
func TestNothingRunsBeforeOnOpen(t *testing.T) {
	var opened atomic.Int64
	var early atomic.Bool
	cfg := framework.Config{
		OnOpen:  func(*framework.Player) { opened.Add(1) },
		OnClose: func(*framework.Player, framework.Reason) { time.Sleep(2 * time.Second) },
	}
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		framework.OnRequest(s, "now", func(_ *framework.Player, n int) (int, error) {
			if n == 2 && opened.Load() < 2 {
				early.Store(true)
			}
			return n, nil
		}).Inline()
	}, func(e *env) {
		first := e.dial("ann", transport.TCP)
		if err := first.Request(context.Background(), "now", 1, nil); err != nil {
			t.Fatal(err)
		}
		second := e.dial("ann", transport.TCP)
		if err := second.Request(context.Background(), "now", 2, nil); err != nil {
			t.Fatal(err)
		}
		if early.Load() {
			t.Error("handled before OnOpen")
		}
	})
}

// TestSessionsOfAUserNeverOverlap: a session that has ended but whose OnClose
// has not returned still stands before the next one, whatever ended it.
func TestSessionsOfAUserNeverOverlap(t *testing.T) {
	for _, policy := range []framework.Duplicate{framework.DuplicateReplace, framework.DuplicateReject, framework.DuplicateAdopt} {
		cfg := framework.Config{Duplicate: policy, OnClose: func(*framework.Player, framework.Reason) { time.Sleep(3 * time.Second) }}
		simulate(t, 1, memnet.Conditions{}, cfg, nil, func(e *env) {
			_ = e.dial("ann", transport.TCP).Close()
			e.within(time.Second, "the first is gone", func() bool { return e.srv.Stats().Sessions == 0 })
			_ = e.dial("ann", transport.TCP).Close()
			e.within(time.Second, "the second is gone", func() bool { return e.srv.Stats().Sessions == 0 })
			e.dial("ann", transport.TCP)
			want := []string{"ann open", "ann close left", "ann open", "ann close left", "ann open"}
			e.within(10*time.Second, "the third is open", func() bool { return len(e.all()) == len(want) })
			if got := e.all(); !slices.Equal(got, want) {
				t.Errorf("policy %d: hooks %v, want %v", policy, got, want)
			}
		})
	}
}

// gate is a source of randomness that can be made to wait for the test.
type gate struct {
	shut    atomic.Bool
	waiting chan struct{}
	open    chan struct{}
	n       atomic.Uint64
}

func (g *gate) Read(b []byte) (int, error) {
	if g.shut.CompareAndSwap(true, false) {
		close(g.waiting)
		<-g.open
	}
	for i := range b {
		b[i] = byte(g.n.Add(1) * 0x9E3779B97F4A7C15 >> 56)
	}
	return len(b), nil
}

// TestNobodyIsAdmittedAfterShutdownBegan: a login that was decided just before
// opens no session that nobody would ever close.
func TestNobodyIsAdmittedAfterShutdownBegan(t *testing.T) {
	g := &gate{}
	cfg := framework.Config{Loops: 1, Rand: g, Authenticate: func(context.Context, framework.Login) (framework.Identity, error) {
		g.shut.Store(true) // the next to read is the maker of the session id
		return framework.Identity{User: "ann"}, nil
	}}
	simulate(t, 1, memnet.Conditions{}, cfg, func(*framework.Server) {
		g.waiting, g.open = make(chan struct{}), make(chan struct{}) // in the bubble
	}, func(e *env) {
		c := e.newClient("ann", transport.TCP)
		go func() { _ = c.Connect(context.Background()) }()
		<-g.waiting
		go func() {
			time.Sleep(time.Second)
			close(g.open)
		}()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.srv.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if n := e.srv.Stats().Opened; n != 0 {
			t.Errorf("%d sessions opened", n)
		}
	})
}

// TestEndedMembersTouchNoTimer: a session that ends in a room with a profile of
// its own gives that up, and has no timer any more.
func TestEndedMembersTouchNoTimer(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{Loops: 1}, func(s *framework.Server) {
		framework.AddRoom(s, "duel", func(r *framework.Room) *duel { return &duel{r} }).Heartbeat(framework.HeartbeatDemanding)
	}, func(e *env) {
		for _, u := range []string{"ann", "bob", "cid"} {
			c := e.dial(u, transport.TCP)
			if err := c.Join(context.Background(), "duel", u); err != nil {
				t.Fatal(err)
			}
			if u != "bob" {
				_ = c.Close()
			}
		}
		time.Sleep(time.Second)
		if n := e.srv.Stats().Transport.Panics; n != 0 {
			t.Errorf("%d panics", n)
		}
	})
}

// TestRawHandlersKeepWhatIsTheirs: what a raw handler returns may be what it
// was given or what it keeps; nobody writes to either.
func TestRawHandlersKeepWhatIsTheirs(t *testing.T) {
	for _, inline := range []bool{false, true} {
		kept, _ := codec.AppendBody(nil, strings.Repeat("k", 100))
		want := slices.Clone(kept)
		setup := func(s *framework.Server) {
			routes := []*framework.Route{
				framework.OnRaw(s, "mirror", func(_ *framework.Player, payload, _ []byte) ([]byte, error) { return payload, nil }),
				framework.OnRaw(s, "kept", func(*framework.Player, []byte, []byte) ([]byte, error) { return kept, nil }),
				framework.OnRequest(s, "twice", func(_ *framework.Player, q string) (string, error) { return q + q, nil }),
			}
			for _, r := range routes {
				if inline {
					r.Inline()
				}
			}
		}
		simulate(t, 1, memnet.Conditions{}, framework.Config{Loops: 1, Workers: 2}, setup, func(e *env) {
			c := e.dial("ann", transport.TCP)
			for i := range 50 {
				q := strings.Repeat(string(rune('a'+i%26)), 10+i)
				for route, want := range map[string]string{"mirror": q, "kept": strings.Repeat("k", 100), "twice": q + q} {
					var got string
					if err := c.Request(context.Background(), route, q, &got); err != nil || got != want {
						t.Fatalf("inline %v: %s of %q is %q, %v", inline, route, q, got, err)
					}
				}
			}
			if !slices.Equal(kept, want) {
				t.Errorf("inline %v: the handler's own answer was written to: %q", inline, kept)
			}
		})
	}
}

// TestWhatNoPeerTakesIsRefusedHere: an answer that can't be sent becomes one
// that can, and a route no peer accepts is the caller's error.
func TestWhatNoPeerTakesIsRefusedHere(t *testing.T) {
	long := strings.Repeat("é", 100_000)
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, func(s *framework.Server) {
		framework.OnRequest(s, "long", func(*framework.Player, int) (int, error) { return 0, framework.Fail(1001, long) })
		framework.OnMessage(s, "quit", func(p *framework.Player, _ int) { p.Kick(1500, long) })
	}, func(e *env) {
		c := e.dial("ann", transport.TCP)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		wantCode(t, c.Request(ctx, "long", 1, nil), 1001)
		p := e.srv.User("ann")[0]
		for _, route := range []string{"", strings.Repeat("x", 1000)} {
			if p.Push(route, 1) == nil || e.srv.Broadcast(route, 1) == nil {
				t.Errorf("a route of %d bytes was taken", len(route))
			}
		}
		_ = c.Send("quit", 1)
		<-c.Done()
		if st := c.Stats(); st.Losses > 1 || st.Resumes > 0 {
			t.Errorf("the way out was not straight: %+v", st)
		}
	})
}

// raw is a client made of bytes, which does what no honest one does.
type raw struct {
	t    *testing.T
	conn net.Conn
	seq  uint16

	routes []byte // what its HELLO says of the dictionary
}

func (e *env) raw() (r *raw, nonce []byte) {
	e.t.Helper()
	conn, err := e.net.DialTCP(context.Background(), e.srv.Addr(transport.TCP))
	if err != nil {
		e.t.Fatal(err)
	}
	r = &raw{t: e.t, conn: conn}
	var greeting struct {
		Version uint8
		Nonce   []byte
	}
	r.read(codec.Greeting, &greeting)
	return r, greeting.Nonce
}

func (r *raw) write(h codec.Header, body []byte) {
	if _, err := r.conn.Write(codec.AppendFrame(nil, h, body)); err != nil {
		r.t.Log(err)
	}
}

func (r *raw) hello(nonce []byte, user string, attempt uint64) {
	body, err := codec.AppendBody(nil, &struct {
		Version uint8
		Nonce   []byte
		Opening []byte
		Ticket  []byte
		Info    string
		Routes  []byte
		Attempt uint64
	}{session.ProtocolVersion, nonce, make([]byte, 16), []byte(user), "", r.routes, attempt})
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(codec.Header{Kind: codec.Hello}, body)
}

// read returns the body of the next packet of a kind.
func (r *raw) read(kind codec.Kind, into any) {
	r.t.Helper()
	for {
		h, body, err := r.next()
		if err != nil {
			r.t.Fatalf("waiting for %v: %v", kind, err)
		}
		if h == byte(kind) {
			if err := codec.DecodeBody(body, into); err != nil {
				r.t.Fatal(err)
			}
			return
		}
	}
}

func (r *raw) next() (kind byte, body []byte, err error) {
	var n uint64
	if n, err = binary.ReadUvarint(oneByte{r.conn}); err != nil {
		return 0, nil, err
	}
	frame := make([]byte, 8+n)
	_, err = io.ReadFull(r.conn, frame)
	return frame[0], frame[8:], err
}

type oneByte struct{ io.Reader }

func (o oneByte) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(o, b[:])
	return b[0], err
}

// ended reports whether the server closes the link within d.
func (r *raw) ended(d time.Duration) bool {
	_ = r.conn.SetReadDeadline(time.Now().Add(d))
	_, err := io.Copy(io.Discard, r.conn)
	return err == nil
}

// TestLinkWhoseLoginMovedOnIsCut: a HELLO repeated on another link leaves no
// link behind that nobody will ever answer.
func TestLinkWhoseLoginMovedOnIsCut(t *testing.T) {
	for _, loops := range []int{1, 2} {
		cfg := framework.Config{Loops: loops, Authenticate: func(context.Context, framework.Login) (framework.Identity, error) {
			time.Sleep(time.Second)
			return framework.Identity{User: "ann"}, nil
		}}
		simulate(t, 1, memnet.Conditions{}, cfg, nil, func(e *env) {
			first, nonce := e.raw()
			first.hello(nonce, "ann", 1)
			time.Sleep(100 * time.Millisecond)
			second, nonce := e.raw()
			second.hello(nonce, "ann", 2)
			second.read(codec.Welcome, new(any))
			if !first.ended(20 * time.Second) {
				t.Error("the first link is still there")
			}
			_ = first.conn.Close()
			_ = second.conn.Close()
		})
	}
}

// TestDatagramsDoNotFillTheInbox: what is unreliable takes no room that a
// counted packet needs, however fast it comes.
func TestDatagramsDoNotFillTheInbox(t *testing.T) {
	var handled, counted atomic.Int64
	var release chan struct{}
	cfg := framework.Config{Session: session.Config{RecvPackets: 4}}
	simulate(t, 1, memnet.Conditions{}, cfg, func(s *framework.Server) {
		release = make(chan struct{})
		framework.OnMessage(s, "m", func(_ *framework.Player, n int) {
			if handled.Add(1) == 1 {
				<-release
			}
			counted.Add(int64(n))
		})
	}, func(e *env) {
		r, nonce := e.raw()
		r.hello(nonce, "ann", 1)
		r.read(codec.Welcome, new(any))
		payload, _ := codec.AppendBody(nil, 0)
		datagram := codec.AppendMessage(nil, codec.NumberedRoute(0), payload) // "m", the first by name
		payload, _ = codec.AppendBody(nil, 1)
		message := codec.AppendMessage(nil, codec.NamedRoute("m"), payload)
		for range 1000 {
			r.write(codec.Header{Kind: codec.Datagram}, datagram)
		}
		for seq := range uint16(4) { // a whole window
			r.write(codec.Header{Kind: codec.Message, Seq: seq + 1}, message)
		}
		time.Sleep(time.Second)
		close(release)
		time.Sleep(time.Second)
		if handled.Load() > 20 || counted.Load() != 4 || e.srv.Stats().Overloads != 0 {
			t.Errorf("%d handled, %d of 4 counted, %d cut", handled.Load(), counted.Load(), e.srv.Stats().Overloads)
		}
		_ = r.conn.Close()
	})
}

// TestContextAfterTheEnd asks for a context while the last callbacks run.
func TestContextAfterTheEnd(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{}, nil, func(e *env) {
		c := e.dial("ann", transport.TCP)
		p := e.srv.User("ann")[0]
		late := make(chan context.Context)
		p.OnClose(func() {
			go func() { late <- p.Context() }()
		})
		_ = c.Close()
		<-(<-late).Done()
	})
}

// TestNoHonestClientOverflowsItsInbox: whatever the window and the size of the
// bodies, and however often the link is lost, who keeps to the window and to
// HOLD is never cut for it, and nothing is lost.
func TestNoHonestClientOverflowsItsInbox(t *testing.T) {
	for _, window := range [][2]int{{1, 1400}, {3, 2048}, {100, 1400}, {2, 8192}, {7, 3000}} {
		cfg := framework.Config{Session: quick}
		cfg.Session.MaxBody, cfg.Session.RecvPackets, cfg.Session.RecvBytes = 1024, window[0], window[1]
		const n = 200
		var next atomic.Int64
		simulate(t, 1, memnet.Conditions{Delay: 3 * time.Millisecond}, cfg, func(s *framework.Server) {
			framework.OnMessage(s, "m", func(_ *framework.Player, m struct {
				N   int64
				Pad []byte
			}) {
				if !next.CompareAndSwap(m.N, m.N+1) {
					t.Errorf("window %v: %d where %d belongs", window, m.N, next.Load())
				}
				time.Sleep(20 * time.Millisecond)
			})
		}, func(e *env) {
			c := e.dial("ann", transport.TCP)
			for i := range n {
				size := 1000 // with its envelope nearly all that a body may have
				if i%3 == 0 {
					size = i
				}
				if err := c.Send("m", []any{i, make([]byte, size)}); err != nil {
					t.Fatal(err)
				}
			}
			for range 10 {
				time.Sleep(300 * time.Millisecond)
				c.Cut()
				c.Hurry()
			}
			e.within(time.Minute, "all of it is handled", func() bool { return next.Load() == n })
			if s := e.srv.Stats(); s.Overloads != 0 || s.Resumed == 0 {
				t.Errorf("window %v: %d cut, %d resumed", window, s.Overloads, s.Resumed)
			}
		})
	}
}
