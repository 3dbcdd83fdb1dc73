// SPDX-License-Identifier: MIT

package gametest_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/framework/gametest"
	matchmaking "github.com/lifeline-go/lifeline/framework/match"
	"github.com/lifeline-go/lifeline/framework/social"
)

// bazaar is a room in which all that a room can begin is begun.
type bazaar struct{ *framework.Room }

func (b *bazaar) begin() {
	b.Every(time.Second, func() { _ = b.Publish(map[string]string{"n": fmt.Sprint(b.Len())}) })
	b.After(time.Hour, func() {})
}
func (b *bazaar) OnCreate() error                                 { b.begin(); return nil }
func (b *bazaar) OnSave() ([]byte, error)                         { return make([]byte, 50_000), nil }
func (b *bazaar) OnRestore([]byte) error                          { b.begin(); return nil }
func (b *bazaar) OnJoin(p *framework.Player) error                { p.OnClose(func() {}); return nil }
func (b *bazaar) OnReturn(*framework.Player)                      {}
func (b *bazaar) OnMissing(string, framework.Reason)              {}
func (b *bazaar) OnWatch(*framework.Player) error                 { return nil }
func (b *bazaar) OnLeave(p *framework.Player, _ framework.Reason) { _ = b.Broadcast("left", p.User()) }

// fair is a game with all features.
type fair struct {
	servers map[*framework.Server]fairServer
}

// fairServer is all that one server has of its own.
type fairServer struct {
	srv            *framework.Server
	c              *cluster.Cluster
	parties        *social.Parties
	presence       *social.PresenceOf
	stalls, arenas *framework.Rooms[*bazaar]
	queue          *matchmaking.Queue
}

func (f *fair) new(cfg framework.Config) (*framework.Server, error) {
	cfg.Reopen = func(context.Context, string) (any, error) { return nil, nil }
	cfg.Drain.Window = 2 * time.Second
	cfg.Session = framework.SessionConfig{Interval: 2 * time.Second, Timeout: 8 * time.Second, Grace: 30 * time.Second}
	srv, err := framework.New(cfg)
	if err != nil {
		return nil, err
	}
	c := cfg.Cluster.(*cluster.Cluster)
	made := func(r *framework.Room) *bazaar { return &bazaar{r} }
	stalls := framework.AddRoom(srv, "stall", made).Seats(6).Spectators(2).Listed().Grace(5 * time.Second).Linger(2 * time.Second)
	framework.OnRoomRequestAsync(stalls, "later", func(b *bazaar, _ *framework.Player, n int, reply framework.Reply[int]) {
		framework.Async(b, func(context.Context) (int, error) { time.Sleep(time.Second); return n, nil }, func(n int, err error) { reply(n, err) })
	})
	arenas := framework.AddRoom(srv, "arena", made).Private()
	framework.OnMessage(srv, "big", func(p *framework.Player, b []byte) { _ = p.Push("big", b) }).Max(1 << 20)
	framework.OnRequestContext(srv, "slow", func(ctx context.Context, p *framework.Player, n int) (int, error) {
		select {
		case <-p.Context().Done():
		case <-ctx.Done():
		case <-time.After(time.Duration(n) * time.Second):
		}
		return n, nil
	})
	framework.OnMessage(srv, "tag", func(p *framework.Player, tag string) {
		c.Group(tag).Add(p)
		srv.Group("own " + tag).Add(p)
		_ = c.Group(tag).Broadcast("tagged", tag)
	})
	parties := social.NewParties(srv, social.PartyConfig{})
	presence := social.NewPresence(srv, social.PresenceConfig{MayWatch: func(*framework.Player, string) bool { return true }, Others: c.Presence()})
	q := matchmaking.Add(matchmaking.New(srv, matchmaking.Options{Party: parties.Together}), "ranked", arenas, matchmaking.Config{
		Rules: matchmaking.Rules{Size: 1, Window: matchmaking.Window{Start: 10}},
		Ticket: func(_ context.Context, players []*framework.Player, w matchmaking.Wish) (*matchmaking.Ticket, error) {
			return &matchmaking.Ticket{Members: make([]matchmaking.Member, len(players)), Pools: []matchmaking.Pool{{Name: w.Field("mode")}}}, nil
		},
	}, func(matchmaking.Made) (struct{}, error) { return struct{}{}, nil })
	f.servers[srv] = fairServer{srv, c, parties, presence, stalls, arenas, q}
	return srv, nil
}

// wave lets players log in at all servers, over all carriers, and use everything. Most of it is
// cut off in the middle.
func (f *fair) wave(g *gametest.Game, name string) {
	var tasks sync.WaitGroup
	begin := func(do func(ctx context.Context)) {
		tasks.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			do(ctx)
		})
	}
	nodes := g.Nodes()
	var all []*gametest.Player
	for i := range 12 { // the last two are other devices of the first two users
		p := nodes[i%len(nodes)].NewPlayer(fmt.Sprint(name, i%10), carriers[i%len(carriers)])
		q, party, friends := client.NewQueue(p.Client), client.NewParty(p.Client), client.NewFriends(p.Client)
		client.OnRequest(p.Client, "asked", func(n int) (int, error) { time.Sleep(2 * time.Second); return n, nil })
		party.OnInvited(func(by client.Invitation) {
			begin(func(ctx context.Context) { _ = party.Join(ctx, by.Party) })
		})
		begin(func(ctx context.Context) { _ = p.Client.Connect(ctx) })
		g.Sleep(300 * time.Millisecond)
		all = append(all, p)
		here := fmt.Sprint(name, max(i-len(nodes), 0)) // it is at the same server
		_ = p.Client.Send("tag", fmt.Sprint(name, i%3))
		_ = p.Client.Send("big", make([]byte, 100_000))
		for _, do := range []func(ctx context.Context){
			func(ctx context.Context) { _, _ = friends.Watch(ctx, here, fmt.Sprint(name, i+1), name+"nobody") },
			func(ctx context.Context) { _ = party.Invite(ctx, here) },
			func(ctx context.Context) { _ = p.Client.Request(ctx, "slow", 1+9*(i%2), nil) },
			func(ctx context.Context) {
				_ = q.Enter(ctx, client.Wish{Queue: "ranked", Fields: []client.WishField{{Name: "mode", Value: fmt.Sprint(name, i%3)}}})
			},
		} {
			begin(do)
		}
	}
	g.Sleep(time.Second)
	for i, p := range all {
		for _, do := range []func(ctx context.Context){
			func(ctx context.Context) { _ = p.Client.Join(ctx, "stall", fmt.Sprint(name, "stall", i%4)) },
			func(ctx context.Context) { _, _ = p.Client.JoinAny(ctx, "stall") },
			func(ctx context.Context) { _ = p.Client.Room("stall").Watch(ctx, name+"stall0") },
			func(ctx context.Context) { _ = p.Client.Room("stall").Follow(ctx, "n<"+fmt.Sprint(i), nil) },
			func(ctx context.Context) { _ = p.Client.Room("stall").Follow(ctx, "", nil) },
			func(ctx context.Context) { _ = p.Client.Request(ctx, "later", 1, nil) },
		} {
			begin(do)
			g.Sleep(50 * time.Millisecond)
		}
	}
	g.Sleep(time.Second)
	for i, p := range all {
		srv := nodes[i%len(nodes)].Server
		users := []string{p.User, fmt.Sprint(name, (i+1)%10), name + "nobody"}
		at := f.servers[srv]
		for _, do := range []func(ctx context.Context){
			func(ctx context.Context) { _ = at.stalls.Bring(ctx, name+"stall1", users...) },
			func(ctx context.Context) { _ = at.stalls.Reserve(ctx, name+"stall2", users...) },
			func(ctx context.Context) { _, _ = at.arenas.Open(ctx, struct{}{}) },
			func(ctx context.Context) {
				_ = at.stalls.Do(ctx, fmt.Sprint(name, "stall", i%4), func(b *bazaar) { _ = b.HandOver() })
			},
			func(ctx context.Context) { _ = at.c.User(users[1]).Request(ctx, "asked", 1, nil) },
			func(ctx context.Context) { _ = at.c.User(users[2]).Push("note", 1) },
			func(ctx context.Context) { _ = at.c.User(users[1]).Move(ctx, uint16(1+i%len(nodes))) },
			func(ctx context.Context) {
				_ = at.c.Ban(ctx, fmt.Sprint(name, "bad", i), time.Now().Add(time.Minute), "")
			},
		} {
			begin(do)
		}
		_ = at.queue.Backfill(matchmaking.Backfill{Room: fmt.Sprint(name, i), Free: []int{1, 1}})
		at.queue.EndBackfill(fmt.Sprint(name, i))
		switch i % 4 {
		case 0:
			p.Drop()
		case 1:
			p.Client.Pause()
		case 2:
			_ = at.c.User(p.User).Kick(framework.CodeKicked, "")
		}
		g.Sleep(200 * time.Millisecond)
	}
	tasks.Wait()
	for _, p := range all {
		p.Close()
	}
}

// TestNothingStays: when all players have gone, two servers are as they were when they had just
// started, as far as anything can be found in them: no player, room, ticket or list, and no entry
// in a table but in those that are bounded and are meant to remember. A third one has crashed
// meanwhile, has come back, and was drained.
func TestNothingStays(t *testing.T) {
	remember := []string{
		"table.tombstones", "table.attempts", "t.over.known", "recentlyClosed.until", "addrs.networks", // of transport and session
		"core.pools", "*queue.pool", // few, for what they have learned of waits
		"watch.activities",                                                                                                    // of workers that wait
		"others.Others.", "sender.pipes", "sender.known", "messages.from", "inbox.keys[].last", "rooms.loads", "members.dead", // what was heard of other servers
	}
	f := &fair{map[*framework.Server]fairServer{}}
	gametest.Options{Servers: 3}.Run(t, f.new, func(g *gametest.Game) {
		lasting := g.Nodes()[:2]
		g.Sleep(time.Minute)
		g.Settle()
		var fresh []map[string]int
		for _, n := range lasting {
			fresh = append(fresh, census(f.servers[n.Server]))
		}
		f.wave(g, "ann")
		g.Nodes()[2].Kill()
		g.Sleep(30 * time.Second)
		g.Nodes()[2].Restart()
		f.wave(g, "bob")
		g.Nodes()[2].Drain()
		g.Sleep(2 * time.Hour)
		g.Settle()
		for i, n := range lasting {
			st := n.Server.Stats()
			entered, invited, told := st.Parts["match.ranked"].Total["entered"], st.Parts["parties"].Total["invited"], st.Parts["presence"].Total["told"]
			t.Logf("node %d: %d sessions, %d from others, %d resumes, %d tickets, %d invitations, %d presences, %d stalls", n.Number(), st.Opened, st.Arrived, st.Resumed, entered, invited, told, st.Rooms["stall"].Opened)
			if min(st.Opened, st.Arrived, st.Resumed, entered, invited, told, st.Rooms["stall"].Opened) == 0 || st.Panics+st.Transport.Panics > 0 {
				t.Errorf("node %d has not played it all", n.Number())
			}
			for what, had := range census(f.servers[n.Server]) {
				if had > fresh[i][what] && !slices.ContainsFunc(remember, func(r string) bool { return strings.Contains(what, r) }) {
					t.Errorf("node %d has %d of %s, and had %d when it was started", n.Number(), had, what, fresh[i][what])
				}
			}
		}
	})
}

// census is how many there are below root of each type of ours that is pointed to, and how much
// is in each map and channel, by the way to it. It looks beyond the length of slices: what is
// there stays as well. It can't look into functions.
func census(root any) map[string]int {
	type place struct {
		v   reflect.Value
		way string
	}
	type known struct {
		at unsafe.Pointer
		of reflect.Type
		n  int
	}
	n, seen := map[string]int{}, map[known]bool{}
	isNew := func(v reflect.Value, size int) bool {
		k := known{v.UnsafePointer(), v.Type(), size}
		was := seen[k]
		seen[k] = true
		return !was
	}
	for all := []place{{reflect.ValueOf(root), ""}}; len(all) > 0; {
		v, way := all[0].v, all[0].way
		all = all[1:]
		below := func(v reflect.Value, step string) { all = append(all, place{v, way + step}) }
		switch v.Kind() {
		case reflect.Pointer:
			of := v.Type().Elem()
			ours := strings.HasPrefix(of.PkgPath(), "github.com/lifeline-go/lifeline/")
			if v.IsNil() || of.Kind() == reflect.Struct && of.PkgPath() != "" && !ours || strings.HasSuffix(of.PkgPath(), "/memnet") || strings.HasSuffix(of.PkgPath(), "/gametest") || !isNew(v, 0) {
				continue
			}
			if slices.ContainsFunc(counted, func(pkg string) bool { return strings.HasPrefix(of.String(), pkg) }) {
				n["*"+of.String()]++
			}
			below(v.Elem(), "")
		case reflect.Interface:
			below(v.Elem(), "")
		case reflect.Struct:
			for i := range v.NumField() {
				below(v.Field(i), "."+v.Type().Field(i).Name)
			}
		case reflect.Map:
			if v.IsNil() || !isNew(v, 0) {
				continue
			}
			n[way] += v.Len()
			for of := v.MapRange(); of.Next(); {
				below(of.Key(), "[key]")
				below(of.Value(), "[]")
			}
		case reflect.Chan:
			if !v.IsNil() && isNew(v, 0) {
				n[way] += v.Len()
			}
		case reflect.Slice:
			if v.Cap() == 0 || !holds(v.Type().Elem()) || !isNew(v, v.Cap()) {
				continue
			}
			v = reflect.NewAt(reflect.ArrayOf(v.Cap(), v.Type().Elem()), v.UnsafePointer()).Elem()
			fallthrough
		case reflect.Array:
			for i := 0; i < v.Len() && holds(v.Type().Elem()); i++ {
				below(v.Index(i), "[]")
			}
		}
	}
	return n
}

// counted are the packages of which census counts what is pointed to.
var counted = []string{"framework.", "match.", "queue.", "social.", "seats.", "roomlist.", "tags.", "pending.", "place.", "transport.Link"}

// holds reports whether anything can be pointed to by a value of a type.
func holds(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct, reflect.Array, reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice, reflect.Chan:
		return true
	}
	return false
}
