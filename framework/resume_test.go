// SPDX-License-Identifier: MIT

package framework_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// Situations of session/SPEC.md 13 on every carrier, with the whole stack. What
// package session plays alone needs no carrier; here is what one could spoil.

// atOnce is as soon as it gets when nobody has to notice anything first.
const atOnce = 700 * time.Millisecond // a first delay of the client, and the network's

// hooked runs f on each carrier with one player, whose hooks are told with their time.
func hooked(t *testing.T, f func(e *env, c *client.Client, when func(hook string) time.Duration, carrier transport.Carrier)) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		var mu sync.Mutex
		at := map[string]time.Time{}
		note := func(what string) {
			mu.Lock()
			at[what] = time.Now()
			mu.Unlock()
		}
		cfg := framework.Config{
			Loops: 2, Session: quick,
			OnDetach: func(*framework.Player) { note("detach") },
			OnResume: func(*framework.Player) { note("resume") }, OnSnapshot: func(*framework.Player) { note("snapshot") },
			OnClose: func(_ *framework.Player, why framework.Reason) { note("close " + why.Code.String()) },
		}
		simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, cfg, nil, func(e *env) {
			c := e.dial("ann", carrier)
			e.within(time.Second, "heard", func() bool { return attached(e) == 1 })
			time.Sleep(time.Second)
			start := time.Now()
			f(e, c, func(hook string) time.Duration {
				mu.Lock()
				defer mu.Unlock()
				if at[hook].Before(start) {
					return -1
				}
				return at[hook].Sub(start)
			}, carrier)
		})
	})
}

// Situations 4 and 28: the cable is pulled. The server finds it at the timeout
// and no earlier; who comes back before that is let in at once.
func TestPulledCable(t *testing.T) {
	hooked(t, func(e *env, c *client.Client, when func(string) time.Duration, _ transport.Carrier) {
		e.net.CutAll()
		c.Pause() // its DETACH is lost
		time.Sleep(time.Minute - time.Second)
		// The last that was heard may be as old as an interval.
		if d := when("detach"); d < quick.Timeout-quick.Interval || d > quick.Timeout+250*time.Millisecond {
			e.t.Errorf("found after %v, timeout %v", d, quick.Timeout)
		}
		c.Hurry()
		e.within(5*time.Second, "back", func() bool { return attached(e) == 1 })
	})
	hooked(t, func(e *env, c *client.Client, when func(string) time.Duration, _ transport.Carrier) {
		c.Cut() // the client knows, the server does not
		e.within(5*time.Second, "taken over", func() bool { return c.Stats().Resumes == 1 })
		time.Sleep(time.Second)
		if d, r := when("detach"), when("resume"); d < 0 || d > atOnce || r < d {
			e.t.Errorf("detach after %v, resume after %v", d, r)
		}
	})
}

// Situation 36: who goes to the background is detached at once, and the grace
// runs from then on.
func TestPause(t *testing.T) {
	hooked(t, func(e *env, c *client.Client, when func(string) time.Duration, _ transport.Carrier) {
		c.Pause()
		time.Sleep(2 * time.Minute)
		if d := when("detach"); d < 0 || d > 100*time.Millisecond {
			e.t.Errorf("detached after %v", d)
		}
		if d := when("close expired"); d < time.Minute || d > time.Minute+time.Second {
			e.t.Errorf("closed after %v with a grace of a minute", d)
		}
	})
}

// Situation 67: a goodbye ends the session at once; if it is lost, silence and
// the grace do.
func TestGoodbye(t *testing.T) {
	hooked(t, func(e *env, c *client.Client, when func(string) time.Duration, _ transport.Carrier) {
		_ = c.Close()
		time.Sleep(time.Second)
		if d := when("close left"); d < 0 || d > 100*time.Millisecond {
			e.t.Errorf("closed after %v", d)
		}
	})
	hooked(t, func(e *env, c *client.Client, when func(string) time.Duration, _ transport.Carrier) {
		e.net.CutAll()
		_ = c.Close()
		time.Sleep(2 * time.Minute)
		if d := when("close expired"); d < time.Minute || d > time.Minute+quick.Timeout+time.Second {
			e.t.Errorf("closed after %v", d)
		}
	})
}

// Situations 20 and 23: a player who has said nothing, and whose link is cut
// again and again while what waits for it is written, gets all of it.
func TestCutsDuringReplay(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		const n = 300
		var mu sync.Mutex
		var got []uint64
		cfg := framework.Config{Session: quick}
		simulate(t, 2, memnet.Conditions{Delay: 10 * time.Millisecond}, cfg, nil, func(e *env) {
			c := e.newClient("ann", carrier)
			client.OnMessage(c, "n", func(m numbered) {
				mu.Lock()
				got = append(got, m.N)
				mu.Unlock()
			})
			e.connect(c)
			c.Pause()
			e.within(time.Minute, "away", func() bool { return attached(e) == 0 })
			for i := range uint64(n) {
				_ = e.players()[0].Push("n", numbered{i + 1, make([]byte, 700)})
			}
			seen := 0
			for seen < n {
				c.Hurry()
				e.within(time.Minute, "some more", func() bool {
					mu.Lock()
					defer mu.Unlock()
					return len(got) > seen
				})
				mu.Lock()
				seen = len(got)
				mu.Unlock()
				c.Cut()
			}
			wholeFrom(t, "pushed", got, 1, n)
			if st := c.Stats(); st.Opens != 1 || st.Resets != 0 || st.Resumes < 2 {
				t.Errorf("%d sessions, %d resumes, %d resets", st.Opens, st.Resumes, st.Resets)
			}
		})
	})
}

// Situations 42 to 45: who has no valid proof is told nothing but UNKNOWN,
// whatever is wrong with the token, and the owner notices nothing, with a
// link or without one.
func TestTokensThatAreNotTheOwners(t *testing.T) {
	hooked(t, func(e *env, c *client.Client, _ func(string) time.Duration, carrier transport.Carrier) {
		token := c.Token()
		raw, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "ll1."))
		forge := func(change func(b []byte)) string {
			b := append([]byte(nil), raw...)
			change(b)
			return "ll1." + base64.RawURLEncoding.EncodeToString(b)
		}
		bob := e.dial("bob", carrier)
		other, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(bob.Token(), "ll1."))
		tokens := map[string]string{
			"another session's key": forge(func(b []byte) { copy(b[16:], other[16:]) }),
			"no such session":       forge(func(b []byte) { b[9] ^= 1 }),
			"of a former boot":      forge(func(b []byte) { b[3] ^= 1 }),
			"of another node":       forge(func(b []byte) { b[0] ^= 1 }),
			"first bit of the key":  forge(func(b []byte) { b[16] ^= 0x80 }),
			"last bit of the key":   forge(func(b []byte) { b[47] ^= 1 }),
		}
		for _, away := range []bool{false, true} {
			if away {
				c.Pause()
				e.within(time.Minute, "away", func() bool { return len(e.of("ann")) > 1 && e.of("ann")[len(e.of("ann"))-1] == "detach" })
			}
			before, refused, unknown := fmt.Sprint(e.of("ann")), e.srv.Stats().Refused, e.srv.Stats().Refusal["unknown_session"]
			for what, token := range tokens {
				thief, err := client.New([]string{e.addr(carrier)}, e.dialers(client.Config{Token: token, Ticket: func(context.Context) ([]byte, error) { return []byte("thief"), nil }}))
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				e.connect(thief) // refused, it logs in for itself
				if st := thief.Stats(); st.Opens != 1 || st.Resumes+st.Resets != 0 {
					t.Errorf("%s: %+v", what, st)
				}
				_ = thief.Close()
			}
			st, n := e.srv.Stats(), uint64(len(tokens))
			if st.Refused-refused != n || st.Refusal["unknown_session"]-unknown != n {
				t.Errorf("away %v: %d of %d refusals were UNKNOWN: %v", away, st.Refusal["unknown_session"]-unknown, n, st.Refusal)
			}
			if after := fmt.Sprint(e.of("ann")); after != before {
				t.Errorf("away %v: the owner's hooks went on: %s", away, after)
			}
		}
		c.Hurry()
		e.within(10*time.Second, "the owner is back", func() bool { return c.Stats().Resumes == 1 })
		for _, short := range []string{token[:len(token)-1], token[:10], "ll2." + token[4:], token + "A"} {
			if _, err := client.New([]string{e.addr(carrier)}, e.dialers(client.Config{Token: short})); err == nil {
				t.Errorf("%q is a token", short)
			}
		}
	})
}

// Situation 61: another process with the same secret knows nobody, and says so;
// everybody logs in afresh.
func TestServerThatForgot(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		cfg := framework.Config{Secret: session.Secret{7}, Session: quick}
		simulate(t, 1, memnet.Conditions{Delay: 10 * time.Millisecond}, cfg, nil, func(a *env) {
			b := serve(t, a.net, "10.0.0.2", cfg, nil)
			defer b.end()
			c := a.dial("ann", carrier)
			again, err := client.New([]string{b.addr(carrier)}, b.dialers(client.Config{Token: c.Token(), Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil }}))
			if err != nil {
				t.Fatal(err)
			}
			b.clients = append(b.clients, again)
			start := time.Now()
			b.connect(again)
			if st := again.Stats(); st.Opens != 1 || st.Dials != 1 || time.Since(start) > atOnce {
				t.Errorf("after %v: %+v", time.Since(start), st)
			}
			if n := b.srv.Stats().Refusal["unknown_session"]; n != 1 {
				t.Errorf("%d refusals with UNKNOWN", n)
			}
		})
	})
}

// Situations 35 and 72: an app that was restarted comes back with its token, to
// the same session, and is sent a snapshot.
func TestRestartedApp(t *testing.T) {
	hooked(t, func(e *env, c *client.Client, when func(string) time.Duration, carrier transport.Carrier) {
		p := e.srv.User("ann")[0]
		_ = p.Push("lost", 1) // on its way when the app dies, or never asked for again
		again, err := client.New([]string{e.addr(carrier)}, e.dialers(client.Config{Token: c.Token()}))
		if err != nil {
			t.Fatal(err)
		}
		e.clients = append(e.clients, again)
		e.connect(again)
		time.Sleep(100 * time.Millisecond)
		if st := again.Stats(); st.Resets != 1 || st.Opens != 0 || again.ID() != p.ID() || !p.Attached() {
			t.Errorf("%+v, session %v, was %v", st, again.ID(), p.ID())
		}
		if d := when("snapshot"); d < 0 || d > atOnce {
			t.Errorf("the game was asked for a snapshot after %v", d)
		}
	})
}

// resetForger is a socket that puts a reset of what was sent last in the place of a datagram
// that came.
type resetForger struct {
	net.PacketConn
	forge atomic.Bool

	mu   sync.Mutex // guards the rest
	last []byte
	asks int // WASK that went out
}

func (f *resetForger) WriteTo(b []byte, to net.Addr) (int, error) {
	f.mu.Lock()
	f.last = bytes.Clone(b)
	if b[4] == 83 {
		f.asks++
	}
	f.mu.Unlock()
	return f.PacketConn.WriteTo(b, to)
}

func (f *resetForger) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := f.PacketConn.ReadFrom(b)
	if err == nil && f.forge.CompareAndSwap(true, false) {
		f.mu.Lock()
		defer f.mu.Unlock()
		reset := append(bytes.Clone(f.last[:4]), 0x1f, 1, 0, 0)
		n = copy(b, append(reset, f.last[len(f.last)-8:]...))
	}
	return n, from, err
}

// transport/SPEC 3.8: on plain KCP, too, a reset tells a client soon that its server was
// restarted, however long the timeout is. A forged one makes it ask, and nothing else.
func TestRestartIsToldOnPlainKCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mild := memnet.Conditions{Delay: 10 * time.Millisecond}
		network := memnet.New(1, mild)
		cfg := framework.Config{Secret: session.Secret{7}, Session: session.Config{Interval: time.Second, Timeout: 10 * time.Minute}}
		first := serve(t, network, "10.0.0.1", cfg, nil)
		var socket *resetForger
		c, err := client.New([]string{first.addr(transport.PlainKCP)}, client.Config{
			Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil },
			ListenPacket: func() (net.PacketConn, error) {
				pc, err := network.ListenPacket()
				socket = &resetForger{PacketConn: pc}
				return socket, err
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		first.connect(c)
		time.Sleep(2 * time.Second)
		socket.forge.Store(true)
		time.Sleep(5 * time.Second)
		socket.mu.Lock()
		asks := socket.asks
		socket.mu.Unlock()
		if st := c.Stats(); socket.forge.Load() || asks != 1 || st.Losses != 0 {
			t.Errorf("after a forged reset: asked %d times, %+v", asks, st)
		}
		network.SetConditions(memnet.Conditions{Loss: 1}) // its end is told by nothing
		first.end()
		second := serve(t, network, "10.0.0.1", cfg, nil)
		defer second.end()
		second.clients = append(second.clients, c)
		network.SetConditions(mild)
		if st := c.Stats(); st.Losses != 0 {
			t.Fatalf("lost before the server was back: %+v", st)
		}
		second.within(6*time.Second, "back", func() bool { return len(second.srv.User("ann")) == 1 })
	})
}
