// SPDX-License-Identifier: MIT

package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/match"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

var rollings = flag.Int("cluster.rollings", 4, "how many seeds TestRollingRestarts plays")

// fleet is what the players of rolling restarts go through.
type fleet struct {
	mu sync.Mutex
	// Guarded by mu.
	faults []string
	in     map[string]string // by user and type: the room that it is in; with a "?" if it has not come along yet
	left   map[string]bool   // by user, type and key: it went elsewhere before it had come along, and its seat is kept still
	makers map[*framework.Server]*match.Matchmaker
	keeps  bool // rooms by keys that servers make keep their state, too
}

func (f *fleet) fault(format string, args ...any) {
	f.mu.Lock()
	f.faults = append(f.faults, fmt.Sprintf(format, args...))
	f.mu.Unlock()
}

// put notes where a user is, and was before.
func (f *fleet) put(what string, r *framework.Room, kind, user, from, to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := user + " " + kind
	got, kept := f.in[at], at+" "+r.Key()
	if old, ok := strings.CutPrefix(got, "?"); ok && from == "" {
		f.left[at+" "+old], got = true, ""
	}
	if got == "" && f.left[kept] && what == "OnReturn" {
		got = from
	}
	delete(f.left, kept)
	if got != from {
		f.faults = append(f.faults, fmt.Sprintf("%s of %s in %s: it was in %q", what, at, r.Key(), got))
	}
	f.in[at] = to
}

// box is a room. A keptBox keeps its state.
type box struct {
	*framework.Room
	f    *fleet
	kind string
	Last map[string]uint64
	In   map[string]bool
}

func (b *box) OnJoin(p *framework.Player) error {
	b.f.put("OnJoin", b.Room, b.kind, p.User(), "", b.Key())
	b.In[p.User()] = true
	return nil
}

func (b *box) OnLeave(p *framework.Player, _ framework.Reason) {
	b.f.put("OnLeave", b.Room, b.kind, p.User(), b.Key(), "")
	delete(b.In, p.User())
}

func (b *box) OnEnd(framework.Reason) {
	if len(b.In) > 0 {
		b.f.fault("%s %s ends with %v", b.kind, b.Key(), b.In)
	}
}

func (b *box) add(p *framework.Player, n uint64) (uint64, error) {
	if !b.In[p.User()] || n <= b.Last[p.User()] {
		b.f.fault("%s in %s: %d after %d, a member: %v", p.User(), b.Key(), n, b.Last[p.User()], b.In[p.User()])
	}
	b.Last[p.User()] = n
	return n, nil
}

type keptBox struct{ *box }

func (b *keptBox) OnReturn(p *framework.Player) {
	b.f.put("OnReturn", b.Room, b.kind, p.User(), "?"+b.Key(), b.Key())
}

func (b *keptBox) OnMissing(user string, _ framework.Reason) {
	b.f.mu.Lock()
	at := user + " " + b.kind
	if b.f.in[at] == "?"+b.Key() { // else its user is elsewhere already
		b.f.in[at] = ""
	}
	delete(b.f.left, at+" "+b.Key())
	b.f.mu.Unlock()
	delete(b.In, user)
}

func (b *keptBox) OnSave() ([]byte, error) { return json.Marshal(b.box) }

func (b *keptBox) OnRestore(state []byte) error {
	err := json.Unmarshal(state, b.box)
	b.f.mu.Lock()
	defer b.f.mu.Unlock()
	for user := range b.In {
		if at := user + " " + b.kind; b.f.in[at] == b.Key() {
			b.f.in[at] = "?" + b.Key()
		}
	}
	return err
}

func (f *fleet) setup(_ uint16, s *framework.Server) {
	fresh := func(r *framework.Room, kind string) *box {
		return &box{Room: r, f: f, kind: kind, Last: map[string]uint64{}, In: map[string]bool{}}
	}
	kept := framework.AddRoom(s, "kept", func(r *framework.Room) *keptBox { return &keptBox{fresh(r, "kept")} })
	framework.OnRoomRequest(kept, "kept.add", func(b *keptBox, p *framework.Player, n uint64) (uint64, error) { return b.add(p, n) })
	plain := framework.AddRoom(s, "plain", func(r *framework.Room) *box { return fresh(r, "plain") })
	framework.OnRoomRequest(plain, "plain.add", (*box).add)
	mm := match.New(s, match.Options{})
	if f.keeps {
		addMade(s, mm, func(r *framework.Room, kind string) *keptBox { return &keptBox{fresh(r, kind)} })
	} else {
		addMade(s, mm, fresh)
	}
	f.mu.Lock()
	f.makers[s] = mm
	f.mu.Unlock()
}

// addMade registers rooms by keys that servers make: for strangers, and for matches.
func addMade[R any](s *framework.Server, mm *match.Matchmaker, fresh func(r *framework.Room, kind string) R) {
	framework.AddRoom(s, "any", func(r *framework.Room) R { return fresh(r, "any") }).Seats(4).Everywhere()
	ring := framework.AddRoom(s, "ring", func(r *framework.Room) R { return fresh(r, "ring") }).Seats(2)
	match.Add(mm, "ring", ring, match.Config{Rules: match.Rules{Teams: 2, Size: 1}}, func(match.Made) (struct{}, error) { return struct{}{}, nil })
}

// rider is a player of a fleet. One that starts its app anew has another client.
type rider struct {
	*client.Client
	q    *client.Queue
	user string
	n    uint64
	said uint64 // by this app: the number of the app above 32 bits

	mu   sync.Mutex
	conn *memnet.Conn
	gone bool // the app was killed
}

func (s *stack) rider(user string) *rider {
	b := &rider{user: user}
	c, err := client.New([]string{"tcp://10.0.0.1:7778", "tcp://10.0.0.2:7778", "tcp://10.0.0.3:7778"}, client.Config{
		Ticket: func(context.Context) ([]byte, error) { return []byte(user), nil }, Logger: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
			b.mu.Lock()
			gone := b.gone
			b.mu.Unlock()
			if gone {
				return nil, errors.New("the app is gone")
			}
			k, err := s.net.DialTCP(ctx, netip.MustParseAddrPort(addr))
			if err != nil {
				return nil, err
			}
			b.mu.Lock()
			b.conn = k
			b.mu.Unlock()
			return k, nil
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	b.Client, b.q = c, client.NewQueue(c)
	return b
}

// cut breaks the link of a rider, silently or not.
func (b *rider) cut(silent, gone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = gone
	switch {
	case b.conn == nil:
	case silent:
		b.conn.Cut()
	default:
		b.conn.Reset()
	}
}

// ride lets a rider do this and that until stop is closed, and returns its client of the end.
func (s *stack) ride(f *fleet, b *rider, rng *rand.Rand, pause int, stop <-chan struct{}) *rider {
	for {
		select {
		case <-stop:
			return b
		case <-time.After(time.Duration(rng.IntN(pause)) * time.Millisecond):
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		begin := time.Now()
		var err error
		what := "join kept"
		switch k := rng.IntN(20); {
		case k < 3:
			err = b.Join(ctx, "kept", fmt.Sprint(rng.IntN(6)))
		case k < 5:
			what, err = "join plain", b.Join(ctx, "plain", fmt.Sprint(rng.IntN(6)))
		case k < 7:
			what = "join any"
			_, err = b.JoinAny(ctx, "any")
		case k < 9:
			what, err = "enter", b.q.Enter(ctx, client.Wish{Queue: "ring"})
		case k < 12:
			kind := []string{"kept", "plain", "any", "ring"}[rng.IntN(4)]
			what, err = "leave", b.Room(kind).Leave(ctx)
		case k < 13:
			b.cut(rng.IntN(2) == 0, false)
		case k < 14 && rng.IntN(3) == 0:
			b.cut(rng.IntN(2) == 0, true)
			_ = b.Close()
			n, said := b.n, b.said
			b = s.rider(b.user)
			b.n, b.said = n, (said>>32+1)<<32
			what, err = "login", b.Connect(ctx)
		default:
			b.n++
			kind := []string{"kept", "plain"}[rng.IntN(2)]
			what, err = "add", b.Request(ctx, kind+".add", b.n, nil)
		}
		cancel()
		b.said++
		if err := b.Send("say", b.said); err != nil {
			f.fault("%s: say: %v", b.user, err)
		}
		if took := time.Since(begin); errors.Is(err, context.DeadlineExceeded) || took > 90*time.Second || what == "login" && err != nil {
			f.fault("%s: %s took %v: %v", b.user, what, took, err)
		}
	}
}

// TestRollingRestarts restarts three servers again and again while players join, leave, wait for
// matches, lose their links and start their apps anew. In the end each knows where it is, and
// nothing is left behind.
func TestRollingRestarts(t *testing.T) {
	n := *rollings
	if testing.Short() {
		n = min(n, 2)
	}
	for seed := range uint64(n) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { playRolling(t, seed) })
	}
}

func playRolling(t *testing.T, seed uint64) {
	const players, rounds = 40, 6
	f := &fleet{in: map[string]string{}, left: map[string]bool{}, makers: map[*framework.Server]*match.Matchmaker{}, keeps: seed%3 != 0}
	change := func(c *framework.Config) {
		c.Drain.Window = time.Duration(seed/2%3) * time.Second
		c.Duplicate = []framework.Duplicate{framework.DuplicateReplace, framework.DuplicateAdopt}[seed%2]
	}
	playWith(t, "", 3, change, f.setup, func(s *stack) {
		rng := rand.New(rand.NewPCG(seed, 3))
		stop := make(chan struct{})
		riders := make([]*rider, players)
		var riding sync.WaitGroup
		for i := range riders {
			b := s.rider(fmt.Sprint("p", i))
			s.connect(b.Client)
			mine := rand.New(rand.NewPCG(seed, uint64(100+i)))
			riding.Go(func() { riders[i] = s.ride(f, b, mine, 200+int(seed/6%3)*600, stop) })
		}
		all := slices.Clone(s.servers)
		for i := range rounds {
			time.Sleep(time.Duration(rng.IntN(4000)) * time.Millisecond)
			if seed%4 > 1 { // every answer of the directory
				for _, v := range s.servers {
					v.line.setLate(time.Duration(rng.IntN(300)) * time.Millisecond)
				}
			}
			s.stop()
			all = append(all, s.add(uint16(i%3+1)))
		}
		close(stop)
		riding.Wait()
		time.Sleep(30 * time.Second)
		for _, b := range riders {
			s.knows(f, b)
			s.heard(b)
		}
		s.leaveAll(f, riders)
		handed, made, matches := uint64(0), uint64(0), uint64(0)
		for _, v := range all {
			empty(t, v)
			st := v.Stats()
			handed += st.Rooms["kept"].HandedOver
			made += st.Rooms["any"].HandedOver + st.Rooms["ring"].HandedOver
			matches += st.Parts["match.ring"].Total["matches"]
		}
		if handed == 0 || matches == 0 || (made > 0) != f.keeps {
			t.Errorf("%d rooms were handed over, %d of them with keys of servers, and %d matches made", handed, made, matches)
		}
	})
	for at, key := range f.in {
		if key != "" {
			t.Errorf("%s is in %s in the end", at, key)
		}
	}
	for _, fault := range f.faults {
		t.Error(fault)
	}
}

// heard checks that what a user has said was handled once and in order, and all of the last app.
func (s *stack) heard(b *rider) {
	s.t.Helper()
	list := s.handled(b.user)
	for i, n := range list {
		if i > 0 && n <= list[i-1] || i > 0 && n>>32 == list[i-1]>>32 && n != list[i-1]+1 {
			s.t.Errorf("of %s %x was handled after %x", b.user, n, list[i-1])
		}
	}
	st, again := b.Stats(), uint64(0)
	for _, h := range s.hooks() { // a client whose link was lost before it was heard logs in anew
		if strings.HasSuffix(h, " closes "+b.user+": shutting down") {
			again++
		}
	}
	switch {
	case st.Opens > 1+again:
		s.t.Errorf("%s has logged in %d times: %+v", b.user, st.Opens, st)
	case st.Opens == 1 && b.said<<32 != 0 && list[len(list)-1] != b.said:
		s.t.Errorf("%s has said %x, and %x was handled: %+v", b.user, b.said, list[len(list)-1], st)
	}
}

// knows checks that a client has its session at one server, and knows its rooms and its queue.
func (s *stack) knows(f *fleet, b *rider) {
	s.t.Helper()
	var p *framework.Player
	var at *server
	n := 0
	for _, v := range s.servers {
		for _, q := range v.User(b.user) {
			p, at, n = q, v, n+1
		}
	}
	if n != 1 || !p.Attached() || p.ID() != b.ID() {
		s.t.Errorf("%s has %d sessions: %v, %v", b.user, n, b.Err(), b.Stats())
		return
	}
	rooms := map[string]string{}
	for _, kind := range []string{"kept", "plain", "any", "ring"} {
		key, _ := b.Room(kind).Key()
		f.mu.Lock()
		want := f.in[b.user+" "+kind]
		f.mu.Unlock()
		if strings.HasPrefix(want, "?") { // of the session before
			want = ""
		}
		if key != want {
			s.t.Errorf("%s takes itself to be in %s %q, and is in %q", b.user, kind, key, want)
		}
		if key != "" {
			rooms[kind] = key
		}
	}
	if len(p.Rooms()) != len(rooms) {
		s.t.Errorf("%s is in %d rooms, and knows %v", b.user, len(p.Rooms()), rooms)
	}
	f.mu.Lock()
	mm := f.makers[at.Server]
	f.mu.Unlock()
	st, waits := mm.Status(p)
	if got := b.q.Ticket().State; waits != (got == client.TicketWaiting || got == client.TicketSeating) {
		s.t.Errorf("%s takes its ticket for %v, and waits: %v %+v", b.user, got, waits, st)
	}
}

// leaveAll lets all riders leave, and checks that no seat is left.
func (s *stack) leaveAll(f *fleet, riders []*rider) {
	for _, b := range riders {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		_ = b.q.Cancel(ctx)
		for _, kind := range []string{"kept", "plain", "any", "ring"} {
			if err := b.Room(kind).Leave(ctx); err != nil && codeOf(err) != codec.ErrorNotJoined {
				s.t.Errorf("%s leaves %s: %v", b.user, kind, err)
			}
		}
		cancel()
	}
	time.Sleep(time.Minute)
	for _, v := range s.servers {
		if n := v.Stats().Cluster.RoomSeats; n != 0 {
			s.t.Errorf("%s keeps %d seats", v.host, n)
		}
		for kind, st := range v.Stats().Rooms {
			if st.Players != 0 || st.Open != 0 {
				s.t.Errorf("%s has %d rooms %s with %d players", v.host, st.Open, kind, st.Players)
			}
		}
	}
	for _, b := range riders {
		_ = b.Close()
	}
	time.Sleep(30 * time.Second)
}

// empty checks that nothing is left at a server.
func empty(t *testing.T, v *server) {
	t.Helper()
	st := v.Stats()
	if st.Sessions != 0 || st.Logins != 0 || st.Detached != 0 || st.Buffered > 128<<10 {
		t.Errorf("%s is left with %d sessions, %d logins, %d detached, %d bytes", v.host, st.Sessions, st.Logins, st.Detached, st.Buffered)
	}
	for kind, r := range st.Rooms {
		if r.Open != 0 || r.Players != 0 || r.StateLost != 0 {
			t.Errorf("%s: %s: %+v", v.host, kind, r)
		}
	}
	for what, gauges := range map[string]map[string]int64{"sessions": st.Cluster.Sessions, "rooms": st.Cluster.Rooms} {
		for name, n := range gauges {
			if n != 0 {
				t.Errorf("%s: %d %s %s", v.host, n, what, name)
			}
		}
	}
	for part, p := range st.Parts {
		for name, n := range p.Now {
			if n != 0 {
				t.Errorf("%s: %s has %d %s", v.host, part, n, name)
			}
		}
	}
}
