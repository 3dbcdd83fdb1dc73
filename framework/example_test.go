// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/transport"
)

// newServer is a server whose players are who they say they are.
func newServer() *framework.Server {
	srv, err := framework.New(framework.Config{
		TCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			return framework.Identity{User: string(l.Ticket)}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	return srv
}

// guests are the clients of the example that runs.
var guests []*client.Client

// start serves until the function that it returns is called.
func start(srv *framework.Server) (stop func()) {
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	return func() {
		for _, c := range guests {
			_ = c.Close()
			<-c.Done()
		}
		guests = nil
		_ = srv.Shutdown(context.Background())
	}
}

// player is a client that has yet to connect.
func player(srv *framework.Server, name string) *client.Client { return playerWith(srv, name, nil) }

// playerWith is a player whose app is told what becomes of its session.
func playerWith(srv *framework.Server, name string, onEvent func(client.Event)) *client.Client {
	c, err := client.New([]string{fmt.Sprintf("tcp://%v", srv.Addr(transport.TCP))}, client.Config{
		Ticket:  func(context.Context) ([]byte, error) { return []byte(name), nil },
		OnEvent: onEvent, Logger: slog.New(slog.DiscardHandler), CloseTimeout: 10 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	guests = append(guests, c)
	return c
}

func connect(c *client.Client) {
	if err := c.Connect(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// match is a room of two.
type match struct{ *framework.Room }

// OnJoin begins the match with the second player, and lets nobody else in.
func (m *match) OnJoin(*framework.Player) error {
	if m.Len() < 2 {
		return nil
	}
	m.SetOpen(false)
	var names []string
	for _, p := range m.Members() {
		names = append(names, p.User())
	}
	return m.Broadcast("begin", strings.Join(names, " against "))
}

// Matchmaking: players who name no room get into the fullest with a free seat.
func ExampleRooms_Seats() {
	srv := newServer()
	framework.AddRoom(srv, "duel", func(r *framework.Room) *match { return &match{r} }).Seats(2)
	defer start(srv)()

	begun := make(chan string, 2)
	for _, name := range []string{"ann", "bob"} {
		c := player(srv, name)
		client.OnMessage(c, "begin", func(who string) { begun <- who })
		connect(c)
		room, err := c.JoinAny(context.Background(), "duel")
		fmt.Println(name, "is in room", room, err)
	}
	fmt.Println(<-begun)
	for _, in := range srv.InspectRooms(10, func(in *framework.RoomInfo) bool { return in.Type == "duel" }) {
		fmt.Printf("room %s: %d of %d, locked %v\n", in.Key, in.Players, in.Seats, in.Locked)
	}
	// Output:
	// ann is in room 1 <nil>
	// bob is in room 1 <nil>
	// ann against bob
	// room 1: 2 of 2, locked true
}

// A game moves a player from the lobby into a match.
func ExampleRoomsOf_Move() {
	srv := newServer()
	plain := func(r *framework.Room) *framework.Room { return r }
	lobby, ranked := framework.AddRoom(srv, "lobby", plain), framework.AddRoom(srv, "match", plain)
	framework.OnRoomRequest(lobby, "play", func(_ *framework.Room, p *framework.Player, mode string) (string, error) {
		return mode, ranked.Move(p, mode)
	})
	framework.OnRoomRequest(ranked, "where", func(r *framework.Room, _ *framework.Player, _ struct{}) (string, error) { return r.Key(), nil })
	defer start(srv)()

	c, ctx := player(srv, "ann"), context.Background()
	connect(c)
	fmt.Println(c.Join(ctx, "lobby", "europe"))
	fmt.Println(c.Request(ctx, "play", "ranked", nil))
	var where string
	err := c.Request(ctx, "where", struct{}{}, &where)
	fmt.Println(where, err)
	// Output:
	// <nil>
	// <nil>
	// ranked <nil>
}

// Who hears it: a team, everybody else, or who is near.
func ExampleRoom_BroadcastTo() {
	srv := newServer()
	hall := framework.AddRoom(srv, "hall", func(r *framework.Room) *framework.Room { return r })
	framework.OnRoomMessage(hall, "whisper", func(r *framework.Room, from *framework.Player, text string) {
		near := func(p *framework.Player) bool { return p != from && p.User()[0] == from.User()[0] }
		_ = r.BroadcastTo(near, "said", from.User()+" whispers "+text)
	})
	defer start(srv)()

	said := make(chan string, 3)
	var ann *client.Client
	for _, name := range []string{"ann", "ada", "bob"} {
		c := player(srv, name)
		client.OnMessage(c, "said", func(text string) { said <- name + ": " + text })
		connect(c)
		_ = c.Join(context.Background(), "hall", "1")
		if name == "ann" {
			ann = c
		}
	}
	_ = ann.Send("whisper", "psst")
	fmt.Println(<-said)
	// Output: ada: ann whispers psst
}

// A guild's chat, for members in whatever room.
func ExampleServer_Group() {
	srv := newServer()
	framework.OnRequest(srv, "guild.enter", func(p *framework.Player, guild string) (int, error) {
		g := srv.Group("guild:" + guild)
		g.Add(p) // it is taken out by itself when its session ends
		return g.Len(), nil
	})
	framework.OnMessage(srv, "guild.say", func(p *framework.Player, text string) {
		_ = srv.Group("guild:owls").Broadcast("guild.said", p.User()+": "+text, p)
	})
	srv.Sends(framework.DropOldest, "guild.said")
	defer start(srv)()

	said, ctx := make(chan string, 1), context.Background()
	ann, bob := player(srv, "ann"), player(srv, "bob")
	client.OnMessage(bob, "guild.said", func(text string) { said <- text })
	var members int
	for _, c := range []*client.Client{ann, bob} {
		connect(c)
		_ = c.Request(ctx, "guild.enter", "owls", &members)
	}
	_ = ann.Send("guild.say", "hoo")
	fmt.Println(members, "owls;", <-said)
	// Output: 2 owls; ann: hoo
}

// The server asks its client and waits, in a handler that may block.
func ExamplePlayer_Request() {
	srv := newServer()
	framework.Asks[string, int](srv, "code") // package gen makes it known to clients
	framework.OnRequest(srv, "open", func(p *framework.Player, door string) (bool, error) {
		ctx, cancel := context.WithTimeout(p.Context(), 10*time.Second)
		defer cancel()
		var code int
		if err := p.Request(ctx, "code", door, &code); err != nil {
			return false, err
		}
		return code == 42, nil
	})
	defer start(srv)()

	c := player(srv, "ann")
	client.OnRequest(c, "code", func(door string) (int, error) {
		fmt.Println("asked for the code of the", door)
		return 42, nil
	})
	connect(c)
	var open bool
	err := c.Request(context.Background(), "open", "cellar", &open)
	fmt.Println(open, err)
	// Output:
	// asked for the code of the cellar
	// true <nil>
}

// Around every handler: refuse, log, measure.
func ExampleServer_Use() {
	srv := newServer()
	srv.Use(func(next framework.Handler) framework.Handler {
		return func(c *framework.Call) error {
			if strings.HasPrefix(c.Route, "admin.") && c.Player.User() != "ann" {
				return framework.Fail(1403, "not for you")
			}
			start := time.Now()
			err := next(c)
			if took := time.Since(start); took > time.Second {
				slog.Warn("slow", "route", c.Route, "player", c.Player.User(), "took", took)
			}
			return err
		}
	})
	framework.OnRequest(srv, "admin.online", func(*framework.Player, struct{}) (int, error) { return srv.Stats().Sessions, nil })
	defer start(srv)()

	for _, name := range []string{"ann", "bob"} {
		c := player(srv, name)
		connect(c)
		var n int
		err := c.Request(context.Background(), "admin.online", struct{}{}, &n)
		fmt.Println(name, n, err)
	}
	// Output:
	// ann 1 <nil>
	// bob 0 lifeline: not for you (code 1403)
}

// What players may send, and what becomes of what they are sent when they do
// not keep up.
func ExampleServer_Routes() {
	srv := newServer()
	hall := framework.AddRoom(srv, "hall", func(r *framework.Room) *framework.Room { return r })
	framework.OnRoomMessage(hall, "move", func(*framework.Room, *framework.Player, [2]float32) {})
	framework.OnRequest(srv, "ping", func(_ *framework.Player, n int) (int, error) { return n, nil }).Inline()
	srv.Sends(framework.DeliverNewest, "positions")
	srv.Sends(framework.DropOldest, "chat")
	srv.Sends(framework.DeliverAll, "loot")
	for _, r := range srv.Routes() {
		fmt.Println(r)
	}
	// Output:
	// chat                 sent: drop oldest
	// loot                 sent: every message
	// move                 message in hall
	// ping                 request inline
	// positions            sent: newest only
	// room.all             sent: every message
	// room.follow          request (built in)
	// room.join            request (built in)
	// room.joined          sent: every message
	// room.leave           request (built in)
	// room.left            sent: every message
	// room.list            request (built in)
	// room.listed          sent: every message
	// room.unfollow        request (built in)
	// room.watch           request (built in)
}
