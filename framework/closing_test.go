// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// lastWords are what a client heard of a session, in order.
type lastWords struct {
	mu    sync.Mutex
	heard []int
}

func (w *lastWords) of(c *client.Client) {
	client.OnMessage(c, "word", func(v struct {
		N    int
		More string
	}) {
		w.mu.Lock()
		w.heard = append(w.heard, v.N)
		w.mu.Unlock()
	})
}

func (w *lastWords) want(t *testing.T, n int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	want := make([]int, n)
	for i := range want {
		want[i] = i
	}
	if !slices.Equal(w.heard, want) {
		t.Errorf("heard %v, want %d words in order", w.heard, n)
	}
}

// words pushes n of them, of 1 KiB each.
func words(p *framework.Player, n int) {
	for i := range n {
		_ = p.Push("word", struct {
			N    int
			More string
		}{i, strings.Repeat("x", 1000)})
	}
}

// TestWhatWasPushedComesBeforeTheEnd: whoever ends a session and however, its
// client hears what was sent to it before, and then why. 200 words are more than
// a link takes at once.
func TestWhatWasPushedComesBeforeTheEnd(t *testing.T) {
	var srv *framework.Server
	kick := func(p *framework.Player) { p.Kick(1000, "over") }
	ways := map[string]struct {
		code session.Code
		do   func(p *framework.Player)
	}{
		"kick": {1000, kick},
		"kick by user": {1000, func(p *framework.Player) {
			for _, p := range srv.User(p.User()) {
				kick(p)
			}
		}},
		"operator": {session.Banned, func(p *framework.Player) {
			r := httptest.NewRequest(http.MethodPost, "/debug/sessions/"+p.ID().String()+"/kick?code=201", nil)
			r.RemoteAddr, r.Host = "127.0.0.1:1", "127.0.0.1"
			srv.Admin().ServeHTTP(httptest.NewRecorder(), r)
		}},
		"panic": {session.Internal, func(*framework.Player) { panic("boom") }},
	}
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		for name, way := range ways {
			for _, n := range []int{3, 200} {
				t.Run(name, func(t *testing.T) {
					setup := func(s *framework.Server) {
						srv = s
						end := func(p *framework.Player, _ int) { words(p, n); way.do(p) }
						framework.OnMessage(s, "end", end)
						framework.OnMessage(s, "end at once", end).Inline()
					}
					simulate(t, 1, memnet.Conditions{Delay: 20 * time.Millisecond}, framework.Config{Session: quick}, setup, func(e *env) {
						for _, route := range []string{"end", "end at once"} {
							hearsTheEnd(e, route, carrier, n, way.code, func(c *client.Client) { _ = c.Send(route, 0) })
						}
					})
				})
			}
		}
	})
}

// hearsTheEnd logs a client in, lets its session end and checks what it hears of it.
func hearsTheEnd(e *env, user string, carrier transport.Carrier, n int, code session.Code, end func(*client.Client)) {
	e.t.Helper()
	var w lastWords
	ended := make(chan error, 1)
	c, err := client.New([]string{e.addr(carrier)}, e.dialers(client.Config{
		Ticket: func(context.Context) ([]byte, error) { return []byte(user), nil },
		OnEvent: func(s client.Event) {
			if s.Kind == client.EventGone || s.Kind == client.EventClosed {
				select {
				case ended <- s.Err:
				default: // of the session after it
				}
			}
		},
	}))
	if err != nil {
		e.t.Fatal(err)
	}
	e.clients = append(e.clients, c)
	w.of(c)
	e.connect(c)
	end(c)
	select {
	case err = <-ended:
	case <-time.After(time.Minute):
		e.t.Fatal("never ended")
	}
	w.want(e.t, n)
	var closed *session.CloseError
	if !errors.As(err, &closed) || closed.Code != code {
		e.t.Errorf("ended with %v, want %v", err, code)
	}
	if st := c.Stats(); st.Resumes+st.Resets > 0 {
		e.t.Errorf("the way out was not straight: %+v", st)
	}
}

// TestReplacedPlayerHearsWhatCameBefore: a second login ends the first session in
// the same way, and does not wait for it.
func TestReplacedPlayerHearsWhatCameBefore(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		simulate(t, 1, memnet.Conditions{Delay: 20 * time.Millisecond}, framework.Config{Session: quick}, nil, func(e *env) {
			hearsTheEnd(e, "ann", carrier, 100, session.TakenOver, func(*client.Client) {
				words(e.srv.User("ann")[0], 100)
				e.dial("ann", carrier)
			})
		})
	})
}

// TestShutdownSaysTheLastWords: what was pushed when the server's patience ended.
func TestShutdownSaysTheLastWords(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		cfg := framework.Config{Session: quick, OnClose: func(*framework.Player, framework.Reason) {}}
		simulate(t, 1, memnet.Conditions{Delay: 20 * time.Millisecond}, cfg, func(s *framework.Server) {
			framework.OnMessage(s, "wait", func(p *framework.Player, _ int) { <-p.Context().Done() })
		}, func(e *env) {
			var w lastWords
			c := e.newClient("ann", carrier)
			w.of(c)
			e.connect(c)
			words(e.srv.User("ann")[0], 100)
			ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
			defer cancel()
			if err := e.srv.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			e.within(time.Second, "all words", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.heard) == 100 })
			w.want(t, 100)
		})
	})
}

// TestClientThatDoesNotReadHoldsNothing: a session ends for the game at once, and
// its link and memory go when the time for last words is over.
func TestClientThatDoesNotReadHoldsNothing(t *testing.T) {
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick, BufferBytes: 1 << 20}, nil, func(e *env) {
			block := make(chan struct{})
			c := e.newClient("ann", carrier)
			client.OnMessage(c, "word", func(struct{ N int }) { <-block })
			e.connect(c)
			defer close(block)
			p := e.srv.User("ann")[0]
			for c.Stats().Holds == 0 {
				words(p, 50)
				time.Sleep(50 * time.Millisecond)
			}
			words(p, 100)
			p.Kick(session.Kicked, "")
			e.within(time.Second, "the game has heard of it", func() bool { return slices.Contains(e.of("ann"), "close kicked") })
			e.within(8*time.Second, "the link has gone", func() bool {
				open := int64(0)
				for _, c := range e.srv.Stats().Transport.Carriers {
					open += c.Open
				}
				return open == 0
			})
			if missing, held := e.srv.Unaccounted(); missing != 0 || held != 0 {
				t.Errorf("%d bytes are missing, %d held", missing, held)
			}
		})
	})
}

// TestDetailOfTheEndReachesTheClient: the number beside the text of a kick or of a
// refused login comes to the client, whether it has a link, reads slowly, or comes
// back later, and to the game's own callbacks.
func TestDetailOfTheEndReachesTheClient(t *testing.T) {
	why := framework.Reason{Code: 1001, Text: "banned", Detail: 1<<63 + 7}
	ways := map[string]func(e *env, c *client.Client, p *framework.Player){
		"at once": func(_ *env, _ *client.Client, p *framework.Player) { p.KickWith(why) },
		"behind what waits": func(_ *env, _ *client.Client, p *framework.Player) {
			words(p, 200)
			p.KickWith(why)
		},
		"detached": func(e *env, c *client.Client, p *framework.Player) {
			c.Pause()
			e.within(time.Second, "the session is detached", func() bool { return !p.Attached() })
			p.KickWith(why)
			e.within(time.Second, "the session has ended", func() bool { return e.srv.Stats().Sessions == 0 })
			c.Hurry()
		},
		"refused login": func(_ *env, _ *client.Client, p *framework.Player) { p.Kick(session.Expired, "") }, // it logs in anew
	}
	onEach(t, func(t *testing.T, carrier transport.Carrier) {
		for name, end := range ways {
			t.Run(name, func(t *testing.T) {
				var logins int
				var onClose, refused framework.Reason
				cfg := framework.Config{Session: quick,
					Authenticate: func(context.Context, framework.Login) (framework.Identity, error) {
						if logins++; logins > 1 {
							return framework.Identity{}, fmt.Errorf("accounts: %w", &framework.CloseError{Code: why.Code, Text: why.Text, Detail: why.Detail})
						}
						return framework.Identity{User: "ann"}, nil
					},
					OnClose: func(_ *framework.Player, why framework.Reason) { onClose = why },
				}
				cfg.Observer.Refused = func(_ netip.AddrPort, _ framework.Carrier, why framework.Reason) { refused = why }
				simulate(t, 1, memnet.Conditions{Delay: 20 * time.Millisecond}, cfg, nil, func(e *env) {
					var told *framework.CloseError
					c, err := client.New([]string{e.addr(carrier)}, e.dialers(client.Config{
						Ticket: func(context.Context) ([]byte, error) { return []byte("ann"), nil },
						OnEvent: func(s client.Event) {
							if s.Kind == client.EventClosed {
								errors.As(s.Err, &told)
							}
						},
					}))
					if err != nil {
						t.Fatal(err)
					}
					e.clients = append(e.clients, c)
					e.connect(c)
					end(e, c, e.players()[0])
					<-c.Done()
					synctest.Wait()
					if told == nil || told.Code != why.Code || told.Detail != why.Detail || !told.Remote {
						t.Errorf("the client was told %+v, want %+v", told, why)
					}
					switch {
					case name == "refused login" && refused != why:
						t.Errorf("Observer.Refused was told %+v, want %+v", refused, why)
					case name != "refused login" && onClose != why:
						t.Errorf("OnClose was told %+v, want %+v", onClose, why)
					}
				})
			})
		}
	})
}
