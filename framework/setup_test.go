// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

func configured(t *testing.T, cfg framework.Config) *framework.Server {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	srv, err := framework.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// TestConfigThatCannotBeMeantIsRefused: by New, at once, by the name of the field.
func TestConfigThatCannotBeMeantIsRefused(t *testing.T) {
	const most = math.MaxInt // of a machine of 32 bits, too
	for want, cfg := range map[string]framework.Config{
		`Config.TCP ":7777" and Config.WebSocket ":7777" are one port`:                     {TCP: ":7777", WebSocket: ":7777"},
		`Config.KCP ":7777" and Config.PlainKCP "10.0.0.1:7777" are one port`:              {KCP: ":7777", PlainKCP: "10.0.0.1:7777"},
		`Config.Admin "127.0.0.1:7777" and Config.TCP ":7777" are one port`:                {TCP: ":7777", Admin: "127.0.0.1:7777"},
		`Config.Admin "localhost:7777" and Config.WebSocket "127.0.0.1:7777" are one port`: {WebSocket: "127.0.0.1:7777", Admin: "localhost:7777"},
		`Config.Admin "8081" is no address to listen on, as ":7777" or "127.0.0.1:7777"`:   {Admin: "8081"},
		`Admin ":8081" is no loopback address and needs an AdminToken`:                     {Admin: ":8081"},
		`Config.PlainKCP "localhost" is no address to listen on`:                           {PlainKCP: "localhost"},
		fmt.Sprintf("Config.LinksPerAddress is %d, want at most", most):                    {LinksPerAddress: most},
		`Config.MaxPlainPerAddress is 1073741825, want at most`:                            {MaxPlainPerAddress: 1<<30 + 1},
		`Config.MaxLinks is -1, want 0 to`:                                                 {MaxLinks: -1},
		`Grace 30ns is less than 1 ms`:                                                     {Session: session.Config{Grace: 30}},
		`MaxAge 24ns is less than 1 ms`:                                                    {Session: session.Config{MaxAge: 24}},
		`ReconnectWindow 2ns is less than 1 ms`:                                            {Session: session.Config{ReconnectWindow: 2}},
		`OpeningTimeout 5µs is less than 1 ms`:                                             {Session: session.Config{OpeningTimeout: 5000}},
		`Interval 10ns is outside 1 ms`:                                                    {Session: session.Config{Interval: 10}},
		`AuthTimeout is 5ns: does it lack its unit`:                                        {AuthTimeout: 5},
		`AuthTimeout -1s is negative`:                                                      {AuthTimeout: -time.Second},
		`Drain.Window is 30ns: does it lack its unit`:                                      {Drain: framework.Drain{Window: 30}},
		`Config.CoalesceDelay is 1ns`:                                                      {CoalesceDelay: 1},
		`Rate.Burst 5ns is outside`:                                                        {Rate: framework.Rate{Burst: 5}},
		fmt.Sprintf("Workers %d is outside", most):                                         {Workers: most},
		`MaxSessions -1 is outside`:                                                        {MaxSessions: -1},
		fmt.Sprintf("AuthConcurrency %d is outside", most):                                 {AuthConcurrency: most},
		`Drain.Address "other server": clients can't dial "other"`:                         {Drain: framework.Drain{Address: "other server"}},
		`Drain.Address "tcp://a:1 http://b": clients can't dial "http://b"`:                {Drain: framework.Drain{Address: "tcp://a:1 http://b"}},
		`Drain.Address has 1007 bytes`:                                                     {Drain: framework.Drain{Address: "tcp://" + strings.Repeat("a", 1000) + ":"}},
		`Address "tcp://10.0.0.1": clients can't dial`:                                     {Address: "tcp://10.0.0.1"},
		`Peers[3] "10.0.0.3:7777": clients can't dial`:                                     {Peers: map[uint16]string{3: "10.0.0.3:7777"}},
		`Duplicate 9 is no policy`:                                                         {Duplicate: 9},
		`BufferBytes 1 is less than`:                                                       {BufferBytes: 1},
		`Config.Store is a nil *framework.MemoryStore`:                                     {Store: (*framework.MemoryStore)(nil), Secret: framework.Secret{1}},
		`Config.Cluster is a nil *framework_test.noCluster`:                                {Cluster: (*noCluster)(nil)},
		`servers that share a Store must share a Secret`:                                   {Store: new(framework.MemoryStore)},
		`Session.MaxAge is more than 47h0m0s: the directory of a Cluster forgets`:          {Cluster: struct{ framework.Cluster }{}, Secret: session.Secret{1}, Session: session.Config{MaxAge: -1}},
		`AdminToken has a blank at an end, or a line end`:                                  {AdminToken: "s3cret\n"},
		`Config.Origins has "https://game.example/", which no browser sends`:               {WebSocket: ":0", Origins: []string{"https://game.example/"}},
		`Config.Origins has "game.example", which no browser sends`:                        {WebSocket: ":0", Origins: []string{"game.example"}},
		`Config.Origins has "https://*.game.example"`:                                      {WebSocket: ":0", Origins: []string{"https://ok.example", "https://*.game.example"}},
		`Config.Origins has "https://game.example:443"`:                                    {WebSocket: ":0", Origins: []string{"https://game.example:443"}},
		`Config.WebSocketPath is "game", want a path that begins with /`:                   {WebSocketPath: "game"},
		`Config.WebSocketPath is "/play?x=1", want a path`:                                 {WebSocketPath: "/play?x=1"},
		`Config.WebSocketPath is "/play#x", want a path`:                                   {WebSocketPath: "/play#x"},
	} {
		_, err := framework.New(cfg)
		wantError(t, err, want)
	}
	for _, cfg := range []framework.Config{
		{},
		{KCP: ":7777", TCP: ":7777"},
		{PlainKCP: ":7777", TCP: ":7777", WebSocket: ":7778", Admin: "127.0.0.1:7779"},
		{Session: session.Config{Grace: -1, MaxAge: -1}, CoalesceDelay: -1, LinksPerAddress: -1},
		{Drain: framework.Drain{Address: "kcp://a.example:1 plain-kcp://[::1]:2 tcp://10.0.0.1:3 ws://b wss://b/game"}},
		{WebSocket: ":7778", Origins: []string{"https://game.example", "http://localhost:8000", "capacitor://localhost", "file://", "null"}},
		{WebSocket: ":7778", Origins: []string{"*"}, AdminToken: "one two"},
	} {
		_ = configured(t, cfg)
	}
}

// TestServerRunsOnce: what else leads to two transports, or to a server that
// answers BUSY for ever.
func TestServerRunsOnce(t *testing.T) {
	srv := configured(t, framework.Config{TCP: "127.0.0.1:0", Admin: "127.0.0.1:0"})
	if got := srv.Addr(transport.TCP); got.IsValid() {
		t.Errorf("before Start it is at %v", got)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	at := srv.Addr(transport.TCP)
	if !at.IsValid() || srv.Addr(transport.WebSocket).IsValid() {
		t.Errorf("it is at %v, and %v", at, srv.Addr(transport.WebSocket))
	}
	wantError(t, srv.Start(), "framework: Start: the server was started before")
	wantError(t, srv.Run(t.Context()), "framework: Start: the server was started before")
	if now := srv.Addr(transport.TCP); now != at {
		t.Errorf("it moved to %v", now)
	}
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	wantError(t, srv.Start(), "framework: Start after Shutdown")
	wantError(t, srv.Run(t.Context()), "framework: Start after Shutdown")

	never := configured(t, framework.Config{})
	if err := never.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	wantError(t, never.Start(), "framework: Start after Shutdown")
}

// TestStartThatFailedMayBeTriedAgain: the port may be free by then.
func TestStartThatFailedMayBeTriedAgain(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := ln.Addr().String()
	for _, cfg := range []framework.Config{{TCP: taken}, {TCP: "127.0.0.1:0", Admin: taken}} {
		srv := configured(t, cfg)
		framework.OnRequest(srv, "early", func(*framework.Player, int) (int, error) { return 0, nil })
		wantError(t, srv.Start(), "address already in use")
		framework.OnRequest(srv, "late", func(*framework.Player, int) (int, error) { return 0, nil })
		_ = ln.Close()
		if err := srv.Start(); err != nil {
			t.Fatal(err)
		}
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if ln, err = net.Listen("tcp", taken); err != nil {
			t.Fatal(err)
		}
	}
	_ = ln.Close()
}

type (
	wellMade struct{ *framework.Room }
	noTick   struct{ *framework.Room }
	badTick  struct{}
	badJoin  struct{}
	badLeave struct{}
	badName  struct{}
	badCase  struct{}
	misspelt struct{}
	lefty    struct{}
	byValue  struct{}
)

func (*wellMade) OnJoin(*framework.Player) error              { return nil }
func (*wellMade) OnTick(framework.Tick)                       {}
func (*wellMade) OnTrick(*framework.Player, int)              {} // a handler
func (*wellMade) OnCoin(*framework.Player, int) (bool, error) { return true, nil }
func (*wellMade) OnAttack(*framework.Player)                  {}
func (*badTick) OnTick()                                      {}
func (*badJoin) OnJoin(*framework.Player)                     {}
func (*badLeave) OnLeave(*framework.Player)                   {}
func (*badName) OnJoined(*framework.Player) error             { return nil }
func (*badCase) OnSnapShot(*framework.Player)                 {}
func (*misspelt) OnShutdwon(time.Duration)                    {}
func (*lefty) OnLeft(*framework.Player, framework.Reason)     {}
func (*byValue) OnTick(framework.Tick)                        {}

type savesOnly struct{ *framework.Room }

func (savesOnly) OnSave() ([]byte, error) { return nil, nil }

// TestRoomThatCannotWorkIsRefused: a callback that would never be called is a
// mistake that nobody sees until players meet it.
func TestRoomThatCannotWorkIsRefused(t *testing.T) {
	srv := configured(t, framework.Config{})
	wantPanic(t, `framework: room "r": *framework_test.badTick.OnTick is func() and would never be called: want func(framework.Tick)`, func() { addRoom[*badTick](srv) })
	wantPanic(t, `framework: room "r": *framework_test.badJoin.OnJoin is func(*framework.Player) and would never be called: want func(*framework.Player) error`, func() { addRoom[*badJoin](srv) })
	wantPanic(t, `framework: room "r": *framework_test.badLeave.OnLeave is func(*framework.Player) and would never be called: want func(*framework.Player, framework.Reason)`, func() { addRoom[*badLeave](srv) })
	wantPanic(t, `framework: room "r": *framework_test.badName.OnJoined would never be called: is it meant to be OnJoin?`, func() { addRoom[*badName](srv) })
	wantPanic(t, `framework: room "r": *framework_test.badCase.OnSnapShot would never be called: is it meant to be OnSnapshot?`, func() { addRoom[*badCase](srv) })
	wantPanic(t, `framework: room "r": *framework_test.misspelt.OnShutdwon would never be called: is it meant to be OnShutdown?`, func() { addRoom[*misspelt](srv) })
	wantPanic(t, `framework: room "r": *framework_test.savesOnly has one of OnSave and OnRestore, and needs both or neither`, func() { addRoom[*savesOnly](srv) })
	wantPanic(t, `framework: room "r": *framework_test.lefty.OnLeft would never be called: is it meant to be OnLeave?`, func() { addRoom[*lefty](srv) })
	wantPanic(t, `framework: room "r": *framework_test.byValue has OnTick and framework_test.byValue has not: let make return a *framework_test.byValue`, func() { addRoom[byValue](srv) })
	wantPanic(t, `framework: room "r": make is nil`, func() { framework.AddRoom[*framework.Room](srv, "r", nil) })
	wantPanic(t, "framework: AddRoom without a name", func() { framework.AddRoom(srv, "", func(r *framework.Room) *framework.Room { return r }) })
	still := addRoom[*noTick](srv)
	wantPanic(t, `framework: room "r" registered twice`, func() { addRoom[*noTick](srv) })
	wantPanic(t, `framework: room "r": Tick, and *framework_test.noTick has no OnTick(framework.Tick)`, func() { still.Tick(time.Second) })
	wantPanic(t, `framework: room "r": a Tick of 50ns is less than a millisecond`, func() { still.Tick(50) })
	wantPanic(t, `framework: room "r": Seats 0, want at least one`, func() { still.Seats(0) })
	wantPanic(t, `framework: room "r": framework: Linger is 60ns: does it lack its unit, as in 60 * time.Second?`, func() { still.Linger(60) })
	ticking := framework.AddRoom(srv, "match", func(r *framework.Room) *wellMade { return &wellMade{r} })
	wantError(t, srv.Start(), `framework: room "match": *framework_test.wellMade has OnTick and would never tick`)
	ticking.Tick(time.Second)
	move := func(*wellMade, *framework.Player, int) {}
	framework.OnRoomMessage(ticking, "move", move)
	wantPanic(t, "framework: route move registered twice", func() { framework.OnRoomMessage(ticking, "move", move) })
	wantPanic(t, "framework: route move registered twice: it belongs to room type match", func() {
		framework.OnRoomMessage(still, "move", func(*noTick, *framework.Player, int) {})
	})
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

func addRoom[R any](srv *framework.Server) *framework.Rooms[R] {
	return framework.AddRoom(srv, "r", func(*framework.Room) (room R) { return room })
}

// TestHandlersThatAreNilAreRefused: not with the first player.
func TestHandlersThatAreNilAreRefused(t *testing.T) {
	srv := configured(t, framework.Config{})
	rooms := addRoom[*noTick](srv)
	const want = "framework: route x: the handler is nil"
	wantPanic(t, want, func() { framework.OnRequest[int, int](srv, "x", nil) })
	wantPanic(t, want, func() { framework.OnMessage[int](srv, "x", nil) })
	wantPanic(t, want, func() { framework.OnRaw(srv, "x", nil) })
	wantPanic(t, want, func() { framework.OnRoomMessage[*noTick, int](rooms, "x", nil) })
	wantPanic(t, want, func() { framework.OnRoomRequest[*noTick, int, int](rooms, "x", nil) })
	wantPanic(t, "framework: Use of nil", func() { srv.Use(nil) })
	wantPanic(t, "framework: AdminPage GET /x: the handler is nil", func() { srv.AdminPage("GET /x", nil) })
}

// TestNothingIsRegisteredAfterStart: it would not be seen, or raced with.
func TestNothingIsRegisteredAfterStart(t *testing.T) {
	srv := configured(t, framework.Config{})
	rooms := framework.AddRoom(srv, "match", func(r *framework.Room) *wellMade { return &wellMade{r} }).Tick(time.Second)
	route := framework.OnRequest(srv, "echo", func(_ *framework.Player, n int) (int, error) { return n, nil })
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	for what, f := range map[string]func(){
		`Tick of room "match"`:      func() { rooms.Tick(time.Minute) },
		`Seats of room "match"`:     func() { rooms.Seats(3) },
		`Linger of room "match"`:    func() { rooms.Linger(time.Minute) },
		`Heartbeat of room "match"`: func() { rooms.Heartbeat(framework.HeartbeatNormal) },
		`room "r" registered`:       func() { addRoom[*noTick](srv) },
		"route late registered":     func() { framework.OnMessage(srv, "late", func(*framework.Player, int) {}) },
		"route sent registered":     func() { srv.Sends(framework.DeliverNewest, "sent") },
		"Inline of route echo":      func() { route.Inline() },
		"Use":                       func() { srv.Use(func(next framework.Handler) framework.Handler { return next }) },
		"AdminPage GET /metrics":    func() { srv.AdminPage("GET /metrics", http.NotFoundHandler()) },
	} {
		wantPanic(t, "framework: "+what+" after the server was started", f)
	}
	other := configured(t, framework.Config{})
	_ = other.Admin()
	wantPanic(t, "framework: AdminPage GET /metrics after Admin, which has made its pages", func() { other.AdminPage("GET /metrics", http.NotFoundHandler()) })
}

// TestKickTakesCodesThatEndASession: others would leave the client to come back
// to a session that is over, or be taken for a later version's.
func TestKickTakesCodesThatEndASession(t *testing.T) {
	simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, nil, func(e *env) {
		c := e.dial("ann", transport.TCP)
		p := e.srv.User("ann")[0]
		for _, code := range []session.Code{session.LinkLost, session.Busy, session.Moved, 99, 150, 208, 999} {
			wantPanic(t, "framework: Kick with code "+slog.Uint64Value(uint64(code)).String()+", which ends no session: a game's codes start at 1000", func() { p.Kick(code, "") })
		}
		if time.Sleep(time.Second); c.Err() != nil || e.srv.Stats().Ended != 0 {
			t.Errorf("a refused kick ended it: %v", c.Err())
		}
		wantError(t, p.Move("elsewhere"), "neither Config.Store nor Config.Cluster is set")
	})
}

func TestTypesThatLoseFieldsAreRefused(t *testing.T) {
	type stamped struct {
		time.Time
		By string
	}
	srv := configured(t, framework.Config{})
	rooms := framework.AddRoom(srv, "r", func(*framework.Room) *struct{} { return nil })
	for name, register := range map[string]func(){
		"question": func() { framework.OnRequest(srv, "a", func(*framework.Player, stamped) (int, error) { return 0, nil }) },
		"answer": func() {
			framework.OnRequest(srv, "b", func(*framework.Player, int) (stamped, error) { return stamped{}, nil })
		},
		"message":      func() { framework.OnMessage(srv, "c", func(*framework.Player, []stamped) {}) },
		"room message": func() { framework.OnRoomMessage(rooms, "d", func(*struct{}, *framework.Player, *stamped) {}) },
		"room request": func() {
			framework.OnRoomRequest(rooms, "e", func(*struct{}, *framework.Player, int) (stamped, error) { return stamped{}, nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if s := fmt.Sprint(recover()); !strings.Contains(s, "would lose field By") {
					t.Errorf("panic %q", s)
				}
			}()
			register()
		})
	}
}

// noCluster is a type of a Cluster.
type noCluster struct{ framework.Cluster }
