// SPDX-License-Identifier: MIT

// Command room is the example room server: players join a room, move, chat and
// see each other at 20 ticks a second; one who drops keeps its place. From there
// they go to matches of half a minute.
//
//	go run ./examples/room -demo
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/examples/room/page"
	"github.com/lifeline-go/lifeline/examples/room/swarm"
	"github.com/lifeline-go/lifeline/framework"
	bots "github.com/lifeline-go/lifeline/framework/client/swarm"
	"github.com/lifeline-go/lifeline/framework/gen"
	"github.com/lifeline-go/lifeline/framework/metrics"
	"golang.org/x/net/netutil"
)

func main() {
	kcp := flag.String("kcp", "127.0.0.1:7776", "listen `address` of sealed KCP")
	keyFile := flag.String("key", "", "`file` of the server's private key, made if there is none; without it the key is another one after each start")
	plain := flag.String("plain-kcp", "127.0.0.1:7777", "listen `address` of plain KCP")
	tcp := flag.String("tcp", "127.0.0.1:7777", "listen `address` of TCP")
	sealed := flag.String("stcp", "127.0.0.1:7776", "listen `address` of sealed TCP, for players without UDP")
	ws := flag.String("ws", "127.0.0.1:7778", "listen `address` of WebSocket")
	cert := flag.String("tls-cert", "", "`file` of the certificate with which WebSockets are served on TLS; without it they are not")
	certKey := flag.String("tls-key", "", "`file` of the certificate's key")
	pages := flag.String("http", "127.0.0.1:8080", "listen `address` of the page, /healthz and /debug")
	routes := flag.Bool("routes", false, "print what players may send and what they are sent, and end")
	demo := flag.Bool("demo", false, "the page plays by itself, and shows what happens when a player drops out of a match")
	botCount := flag.Int("bots", 8, "built-in bots; each pulls its cable now and then")
	tick := flag.Duration("tick", 50*time.Millisecond, "time between two states")
	length := flag.Duration("match", 30*time.Second, "length of a match")
	interval := flag.Duration("interval", 0, "heartbeat interval (default 10s)")
	timeout := flag.Duration("timeout", 0, "silence that ends a link (default 3.5 intervals)")
	grace := flag.Duration("grace", 0, "how long a seat is kept for a dropped player (default 1m)")
	window := flag.Duration("drain", 0, "after SIGTERM, the time over which players are let go")
	moveTo := flag.String("move-to", "", "after SIGTERM, `addresses` where the players go, as tcp://host:port")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)

	logger := slog.New(slog.NewTextHandler(os.Stdout, nil))
	srv, err := framework.New(framework.Config{
		KCP: *kcp, KeyFile: *keyFile, PlainKCP: *plain, TCP: *tcp, SealedTCP: *sealed, WebSocket: *ws, TLSCertFile: *cert, TLSKeyFile: *certKey, Logger: logger,
		Session: framework.SessionConfig{Interval: *interval, Timeout: *timeout, Grace: *grace},
		Strict:  true, // while it is developed: what comes to nothing is told
		Drain:   framework.Drain{Window: *window, Address: *moveTo},
		// A name is all it takes to get in here; a real game asks its accounts.
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			if n := len(l.Ticket); n == 0 || n > 32 {
				return framework.Identity{}, framework.Fail(1001, "a name has 1 to 32 bytes")
			}
			return framework.Identity{User: string(l.Ticket)}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	register(srv, logger, *tick, *length)
	if *routes {
		for _, r := range srv.Routes() {
			fmt.Println(r)
		}
		return
	}
	gen.Announce(srv, logger)

	srv.AdminPage("GET /metrics", metrics.Handler(srv))
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *pages)
	if err != nil {
		log.Fatal(err)
	}
	site := &http.Server{Handler: pagesOf(srv, *demo), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	s, serve := "", site.Serve
	if *cert != "" { // a page that came by https opens nothing but wss
		s, serve = "s", func(l net.Listener) error { return site.ServeTLS(l, *cert, *certKey) }
	}
	go func() { log.Print(serve(netutil.LimitListener(listener, 64))) }() // ends with site.Close
	addr := fmt.Sprintf("kcp://%v", srv.Addr(framework.KCP))
	fmt.Printf("players  %s  plain-kcp://%v  tcp://%v  ws%s://%v  stcp://%v\n", addr,
		srv.Addr(framework.PlainKCP), srv.Addr(framework.TCP), s, srv.Addr(framework.WebSocket), srv.Addr(framework.SealedTCP))
	fmt.Println("key     ", srv.PublicKey())
	fmt.Printf("page     http%s://%v  open it twice\nlook     http%[1]s://%[2]v/debug/  http%[1]s://%[2]v/metrics\n", s, listener.Addr())
	fmt.Printf("bots     go run ./examples/room/bot -addr %s -key %s -n 50 -duration 20s -cut 3s\n", addr, srv.PublicKey())

	playBots(ctx, addr, srv, *botCount, logger)
	<-ctx.Done() // the bots have waited for it, if there are bots
	stop()       // another signal ends it at once
	_ = site.Close()
	stopping, cancel := context.WithTimeout(context.Background(), *window+10*time.Second)
	defer cancel()
	if err := srv.Shutdown(stopping); err != nil {
		log.Fatal(err)
	}
}

// playBots lets the built-in bots play until ctx ends.
func playBots(ctx context.Context, addr string, srv *framework.Server, n int, logger *slog.Logger) {
	if n <= 0 {
		return
	}
	game := &swarm.Game{Room: "lobby", Rate: 0.2, Logger: logger}
	cfg := bots.Config{Addrs: []string{addr}, ServerKey: srv.PublicKey(), Bots: n, Cut: 10 * time.Second, Client: game.Client}
	if _, err := bots.Run(ctx, cfg, game.Play); err != nil {
		log.Fatal(err)
	}
}

// pagesOf are the game's page and the admin pages of a server.
func pagesOf(srv *framework.Server, demo bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", page.Handler(page.Config{WebSocketPort: srv.Addr(framework.WebSocket).Port(), Room: "lobby", Demo: demo}))
	mux.Handle("/healthz", srv.Admin())
	mux.Handle("/metrics", srv.Admin())
	mux.Handle("/debug/", srv.Admin()) // guarded: it shows addresses and ends sessions
	return mux
}

// register gives the server all that players may send and are sent: what
// messages.lock is about.
func register(srv *framework.Server, logger *slog.Logger, tick, length time.Duration) {
	arena := framework.AddRoom(srv, "arena", newArena(logger, tick)).Tick(tick).Seats(500)
	framework.OnRoomMessage(arena, "move", (*Arena).Move).Max(64)
	framework.OnRoomMessage(arena, "chat", (*Arena).Chat).Max(maxChat)
	framework.OnRoomRequest(arena, "look", (*Arena).Look)
	matches := framework.AddRoom(srv, "match", newMatch(logger, tick, length)).Tick(tick).Seats(matchSeats)
	framework.OnRoomMessage(matches, "go", (*Match).Go).Max(64)
	framework.OnRequest(srv, "ping", func(_ *framework.Player, n uint64) (uint64, error) { return n, nil }).Inline()
	framework.SendsAs[swarm.State](srv, framework.DeliverNewest, "state") // after a lost one comes the next
	framework.SendsAs[swarm.Seat](srv, framework.DeliverAll, "seat")
	framework.SendsAs[swarm.Chat](srv, framework.DeliverAll, "chat")
	framework.SendsAs[Round](srv, framework.DeliverNewest, "round")
	framework.SendsAs[Lineup](srv, framework.DeliverAll, "lineup")
	framework.SendsAs[Got](srv, framework.DeliverAll, "got")
	framework.SendsAs[Result](srv, framework.DeliverAll, "result")
}
