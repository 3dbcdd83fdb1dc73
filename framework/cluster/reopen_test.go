// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// deaths are the hosts that a test has taken off the network, as the death of their
// processes does: streams break, dials are refused, datagrams are lost.
type deaths struct {
	mu sync.Mutex
	// Guarded by mu.
	dead  map[string]bool
	conns map[string][]*memnet.Conn
}

// kill takes a server off the bus and the network.
func (d *deaths) kill(v *server) {
	v.line.set(true)
	d.lose(v.host)
}

// lose takes a server off the network.
func (d *deaths) lose(host string) {
	d.refuse(host)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns[host] {
		c.Reset()
	}
}

// refuse has a server refuse what dials it. Its links stay.
func (d *deaths) refuse(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead == nil {
		d.dead = map[string]bool{}
	}
	d.dead[host] = true
}

func (d *deaths) of(host string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead[host]
}

func (d *deaths) dial(ctx context.Context, n *memnet.Network, addr string) (net.Conn, error) {
	at := netip.MustParseAddrPort(addr)
	host := at.Addr().String()
	if d.of(host) {
		return nil, syscall.ECONNREFUSED
	}
	c, err := n.DialTCP(ctx, at)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil {
		d.conns = map[string][]*memnet.Conn{}
	}
	d.conns[host] = append(d.conns[host], c)
	return c, nil
}

// socket is a client's that loses what dead hosts are sent, and what they send.
type socket struct {
	net.PacketConn
	d *deaths
}

func (s socket) WriteTo(b []byte, to net.Addr) (int, error) {
	if s.d.of(to.(*net.UDPAddr).IP.String()) {
		return len(b), nil
	}
	return s.PacketConn.WriteTo(b, to)
}

func (s socket) ReadFrom(b []byte) (n int, from net.Addr, err error) {
	for {
		if n, from, err = s.PacketConn.ReadFrom(b); err != nil || !s.d.of(from.(*net.UDPAddr).IP.String()) {
			return n, from, err
		}
	}
}

// talker is a client that numbers what it sends, and knows what it was told of it.
type talker struct {
	*client.Client
	user string
	mu   sync.Mutex
	// Guarded by mu.
	reported []uint64
	kinds    []client.EventKind
}

func (k *talker) heard(e client.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kinds = append(k.kinds, e.Kind)
	for _, m := range e.Undelivered {
		var n uint64
		if codec.DecodeBody(m.Payload, &n) != nil {
			continue // to join a room
		}
		k.reported = append(k.reported, n)
	}
}

func (k *talker) told() []uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.reported)
}

// talker makes a client that knows all servers, the n-th first.
func (s *stack) talker(d *deaths, carrier, user string, first int) *talker {
	s.t.Helper()
	first %= len(s.servers)
	return s.talkerOf(d, carrier, user, slices.Concat(s.servers[first:], s.servers[:first]))
}

// talkerOf makes a client that knows these servers.
func (s *stack) talkerOf(d *deaths, carrier, user string, servers []*server) *talker {
	s.t.Helper()
	port := map[string]string{"tcp": "7778", "plain-kcp": "7777"}[carrier]
	var list []string
	for _, v := range servers {
		list = append(list, carrier+"://"+v.host+":"+port)
	}
	k := &talker{user: user}
	c, err := client.New(list, client.Config{
		Ticket: func(context.Context) ([]byte, error) { return []byte(user), nil }, Logger: slog.New(slog.DiscardHandler),
		Dial:         func(ctx context.Context, _, addr string) (net.Conn, error) { return d.dial(ctx, s.net, addr) },
		ListenPacket: func() (net.PacketConn, error) { return listen(s.net, d) },
		OnEvent:      k.heard,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	k.Client = c
	s.clients = append(s.clients, c)
	s.connect(c)
	return k
}

func listen(n *memnet.Network, d *deaths) (net.PacketConn, error) {
	c, err := n.ListenPacket()
	if err != nil {
		return nil, err
	}
	return socket{c, d}, nil
}

// reopens lets the servers of a stack reopen sessions.
func reopens(c *framework.Config) {
	c.Address += " plain-kcp://" + netip.MustParseAddrPort(c.TCP).Addr().String() + ":7777"
	c.PlainKCP = netip.MustParseAddrPort(c.TCP).Addr().String() + ":7777"
	c.Reopen = func(_ context.Context, user string) (any, error) { return "data of " + user, nil }
}

// TestKilledServer takes one server of five away in the midst of traffic. Its players are
// back at others, in the same sessions and without a login; nothing is handled twice, and
// what is uncertain is reported once.
func TestKilledServer(t *testing.T) {
	const players, each = 10, 500
	for _, carrier := range []string{"tcp", "plain-kcp"} {
		t.Run(carrier, func(t *testing.T) {
			play(t, 5, reopens, func(s *stack) {
				var d deaths
				var talkers []*talker
				var talking sync.WaitGroup
				for i := range players {
					k := s.talker(&d, carrier, fmt.Sprint("p", i), i)
					talkers = append(talkers, k)
					talking.Go(func() {
						for n := range uint64(each) {
							if err := k.Send("say", n+1); err != nil {
								t.Error(err)
								return
							}
							time.Sleep(50 * time.Millisecond)
						}
					})
				}
				time.Sleep(2 * time.Second)
				victim := s.servers[1]
				ids, lost := map[string]session.ID{}, map[string]bool{}
				for _, k := range talkers {
					ids[k.user], lost[k.user] = k.ID(), victim.has(k.user)
				}
				d.kill(victim)
				talking.Wait()
				s.within(time.Minute, "all that was sent is accounted for", func() bool {
					return !slices.ContainsFunc(talkers, func(k *talker) bool { return len(union(s.handled(k.user), k.told())) < each })
				})
				var reopened uint64
				for _, v := range s.servers {
					reopened += v.Stats().Reopened
				}
				killed := 0
				for _, k := range talkers {
					if lost[k.user] {
						killed++
					}
					s.accounted(k, each)
					st := k.Stats()
					if resets := map[bool]uint64{true: 1, false: 0}[lost[k.user]]; k.ID() != ids[k.user] || st.Opens != 1 || uint64(st.Resets) != resets || resets == 0 && len(k.told()) > 0 {
						t.Errorf("%s, whose server was killed: %v: session %v, was %v, %+v, told of %v", k.user, lost[k.user], k.ID(), ids[k.user], st, k.told())
					}
				}
				if n := s.logins(); n != players || killed != players/5 || reopened != uint64(killed) {
					t.Errorf("%d logins of %d, %d of a killed server, %d reopened", n, players, killed, reopened)
				}
				victim.line.set(false)
				s.within(10*time.Second, "fenced", func() bool { return victim.Stats().Sessions == 0 })
			})
		})
	}
}

// accounted checks what became of all that a client has sent.
func (s *stack) accounted(k *talker, each int) {
	s.t.Helper()
	handled, told := s.handled(k.user), k.told()
	for name, list := range map[string][]uint64{"handled": handled, "reported": told} {
		if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
			s.t.Errorf("%s: %s twice, or out of order: %v", k.user, name, list)
		}
	}
	if n := len(union(handled, told)); n != each {
		s.t.Errorf("%s: %d of %d are handled or reported", k.user, n, each)
	}
}

func union(a, b []uint64) []uint64 {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// TestEndedProcess: a server is not waited for if its mark says that its process has ended,
// by others and by itself when it is started again.
func TestEndedProcess(t *testing.T) {
	playIn(t, t.TempDir(), 3, reopens, func(s *stack) {
		var d deaths
		victim := s.servers[0]
		var talkers []*talker
		for i := range 4 {
			talkers = append(talkers, s.talker(&d, "tcp", fmt.Sprint("p", i), 0))
		}
		time.Sleep(time.Second)
		d.kill(victim)
		victim.c.EndMark()
		s.within(5*time.Second, "all are back", func() bool {
			return !slices.ContainsFunc(talkers, func(k *talker) bool { return k.Stats().Resets != 1 })
		})
		if n := s.logins(); n != len(talkers) {
			t.Errorf("%d logins of %d", n, len(talkers))
		}
		// The last server crashes with all others gone, and comes back under its number.
		victim.line.set(false)
		s.within(10*time.Second, "fenced", func() bool { return victim.Stats().Sessions == 0 })
		last := s.servers[2]
		if err := s.servers[1].Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		d.kill(last)
		last.c.EndMark()
		s.servers = []*server{victim, last}
		began := time.Now()
		s.hostOf = "10.0.0.4" // the old one still listens
		s.add(3)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("started again after %v", took)
		}
		last.line.set(false)
		s.within(10*time.Second, "fenced", func() bool { return last.Stats().Sessions == 0 && !last.c.Valid() })
	})
}

// TestReopenDecides: the game makes the player anew of its user, or keeps it out.
func TestReopenDecides(t *testing.T) {
	for name, want := range map[string]struct {
		hook   func(user string) (any, error)
		opens  string
		logins int
		code   session.Code
	}{
		"data":   {func(user string) (any, error) { return "profile of " + user, nil }, `["1 opens ann" "2 opens ann" "2 has profile of ann"]`, 1, 0},
		"banned": {func(string) (any, error) { return nil, framework.Fail(1003, "banned") }, `["1 opens ann"]`, 1, 1003},
		"no":     {nil, `["1 opens ann" "2 opens ann" "2 has ticket of ann"]`, 2, 0},
		"later": {func() func(user string) (any, error) {
			asked := 0
			return func(user string) (any, error) {
				if asked++; asked < 3 {
					return nil, errors.New("the database is away")
				}
				return "profile of " + user, nil
			}
		}(), `["1 opens ann" "2 opens ann" "2 has profile of ann"]`, 1, 0},
		"panic": {func() func(user string) (any, error) {
			asked := 0
			return func(user string) (any, error) {
				if asked++; asked < 2 {
					panic("at first")
				}
				return "profile of " + user, nil
			}
		}(), `["1 opens ann" "2 opens ann" "2 has profile of ann"]`, 1, 0},
		"Goexit": {func() func(user string) (any, error) {
			asked := 0
			return func(user string) (any, error) {
				if asked++; asked < 2 {
					runtime.Goexit()
				}
				return "profile of " + user, nil
			}
		}(), `["1 opens ann" "2 opens ann" "2 has profile of ann"]`, 1, 0},
		"no error": {func() func(user string) (any, error) {
			asked := 0
			return func(user string) (any, error) {
				if asked++; asked < 2 {
					var no *framework.Error
					return nil, no // which is no nil
				}
				return "profile of " + user, nil
			}
		}(), `["1 opens ann" "2 opens ann" "2 has profile of ann"]`, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var s *stack
			change := func(c *framework.Config) {
				open, login, node := c.OnOpen, c.Authenticate, netip.MustParseAddrPort(c.TCP).Addr().As4()[3]
				c.OnOpen = func(p *framework.Player) {
					open(p)
					if node == 2 {
						s.note("2 has %s", framework.DataOf[string](p))
					}
				}
				c.Authenticate = func(ctx context.Context, l framework.Login) (framework.Identity, error) {
					who, err := login(ctx, l)
					who.Data = "ticket of " + who.User
					return who, err
				}
				if want.hook != nil {
					c.Reopen = func(_ context.Context, user string) (any, error) { return want.hook(user) }
				}
			}
			play(t, 2, change, func(stack *stack) {
				s = stack
				var d deaths
				k := s.talker(&d, "tcp", "ann", 0)
				time.Sleep(time.Second)
				d.kill(s.servers[0])
				s.within(time.Minute, "decided", func() bool {
					return k.Err() != nil || s.servers[1].has("ann") && k.Stats().Losses < k.Stats().Opens+k.Stats().Resets
				})
				time.Sleep(time.Second)
				hooks := slices.DeleteFunc(s.hooks(), func(h string) bool { return h == "1 closes ann: shutting down" })
				if got := fmt.Sprintf("%q", hooks); got != want.opens || s.logins() != want.logins {
					t.Errorf("hooks %s, want %s; %d logins", got, want.opens, s.logins())
				}
				var no *session.CloseError
				if errors.As(k.Err(), &no) != (want.code != 0) || want.code != 0 && no.Code != want.code {
					t.Errorf("the client: %v", k.Err())
				}
				s.servers[0].line.set(false)
				s.within(10*time.Second, "fenced", func() bool { return s.servers[0].Stats().Sessions == 0 })
			})
		})
	}
}
