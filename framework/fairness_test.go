// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// stadium is a room that tells everybody the time of every tick.
type stadium struct {
	*framework.Room
	d *diary
}

func (s *stadium) OnTick(framework.Tick)          { _ = s.Broadcast("tick", time.Now().UnixNano()) }
func (s *stadium) OnSnapshot(p *framework.Player) { s.d.add("%s needs a snapshot", p.User()) }
func (s *stadium) OnResume(p *framework.Player)   { s.d.add("%s resumes", p.User()) }
func (s *stadium) OnLeave(p *framework.Player, why framework.Reason) {
	s.d.add("%s leaves: %v", p.User(), why)
}

// TestOneSlowAndOneFloodingPlayerHurtNobody fills a room with 400 players
// at 20 ticks a second. One stops reading and one floods: all others get every
// tick, once, in order and on time; what waits for the slow one stays within its
// cap, and it comes back; the flooder is closed.
func TestOneSlowAndOneFloodingPlayerHurtNobody(t *testing.T) {
	n, step := 400, 50*time.Millisecond
	if testing.Short() {
		n = 100
	}
	d := &diary{}
	cfg := framework.Config{Loops: 2}
	cfg.Session.SendPackets = 64
	cond := memnet.Conditions{Delay: 5 * time.Millisecond}
	simulate(t, 1, cond, cfg, func(s *framework.Server) {
		hall := framework.AddRoom(s, "hall", func(r *framework.Room) *stadium { return &stadium{r, d} }).Tick(step)
		framework.OnRoomMessage(hall, "shout", func(*stadium, *framework.Player, int) {})
		s.Sends(framework.DeliverAll, "tick")
	}, func(e *env) {
		var coming sync.WaitGroup
		fans := make([]*fan, n-2)
		for i := range fans {
			c := e.newClient(fmt.Sprint("fan", i), carriers[i%len(carriers)])
			fans[i] = &fan{}
			client.OnMessage(c, "tick", fans[i].hear)
			coming.Go(func() {
				if err := errors.Join(c.Connect(context.Background()), c.Join(context.Background(), "hall", "1")); err != nil {
					t.Error(err)
				}
			})
		}
		coming.Wait()
		slow, release := e.slowClient(), make(chan struct{})
		client.OnMessage(slow, "tick", func(int64) { <-release })
		e.connect(slow)
		join(t, slow, "1")
		flooder, nonce := e.raw()
		flooder.hello(nonce, "flooder", 1)
		flooder.read(codec.Welcome, new(any))
		who, _ := codec.AppendBody(nil, [...]string{"hall", "1"})
		flooder.request("room.join", who)
		go flooder.drain() // ends with its link
		kept := 0
		for range 100 { // five seconds
			one, _ := codec.AppendBody(nil, 1)
			for range 500 {
				flooder.send("shout", one)
			}
			time.Sleep(step)
			for _, in := range e.srv.Inspect(1, func(in *framework.Info) bool { return in.User == "slow" }) {
				kept = max(kept, in.Queued)
			}
		}
		for i, f := range fans {
			// From when all were in: the last to come heard about 100.
			if bad := f.bad.Load(); bad != 0 || f.heard.Load() < 98 || f.worst.Load() > int64(2*step) {
				t.Fatalf("fan %d heard %d ticks, %d out of order, the latest after %v", i, f.heard.Load(), bad, time.Duration(f.worst.Load()))
			}
		}
		st := e.srv.Stats()
		if kept == 0 || kept > cfg.Session.SendPackets || st.Overflows == 0 {
			t.Errorf("%d packets waited for the slow player, %d overflows", kept, st.Overflows)
		}
		if st.Closes["policy"] != 1 || st.Ended != 1 || !slices.ContainsFunc(d.all(), func(line string) bool { return len(line) > 22 && line[:22] == "flooder leaves: policy" }) {
			t.Errorf("closed: %v; the room saw %v", st.Closes, d.all())
		}
		close(release)
		e.within(10*time.Second, "the slow one is asked for its snapshot", d.has("slow needs a snapshot"))
		e.within(time.Second, "it is back", func() bool { return slow.Stats().Resets > 0 && e.srv.Player(slow.ID()) != nil })
		_ = flooder.conn.Close()
	})
}

// fan checks what it hears. Its counters are read by the test.
type fan struct {
	last              int64
	heard, bad, worst atomic.Int64
}

func (f *fan) hear(at int64) {
	if f.last != 0 && at != f.last+int64(50*time.Millisecond) {
		f.bad.Add(1)
	}
	f.last = at
	f.heard.Add(1)
	f.worst.Store(max(f.worst.Load(), time.Now().UnixNano()-at))
}

// slowClient is one whose app does not take many messages before it holds.
func (e *env) slowClient() *client.Client {
	c, err := client.New([]string{e.addr(transport.TCP)}, e.dialers(client.Config{
		Ticket: func(context.Context) ([]byte, error) { return []byte("slow"), nil }, InboxPackets: 16,
	}))
	if err != nil {
		e.t.Fatal(err)
	}
	e.clients = append(e.clients, c)
	return c
}

// send writes a counted message, whatever it was asked.
func (r *raw) send(route string, payload []byte) {
	r.seq++
	r.write(codec.Header{Kind: codec.Message, Seq: r.seq}, codec.AppendMessage(nil, codec.NamedRoute(route), payload))
}

func (r *raw) request(route string, payload []byte) {
	r.seq++
	r.write(codec.Header{Kind: codec.Request, Seq: r.seq}, codec.AppendRequest(nil, 1, codec.NamedRoute(route), payload))
	r.read(codec.Response|0x80, new(any))
}

// drain reads what comes until the link ends.
func (r *raw) drain() {
	for {
		if _, _, err := r.next(); err != nil {
			return
		}
	}
}
