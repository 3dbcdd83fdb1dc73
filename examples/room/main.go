// SPDX-License-Identifier: MIT

// Command room is the example room server: players join a room, move, chat and
// see each other at 20 ticks a second; one who drops keeps its place. From there
// they go to matches of half a minute.
//
//	go run ./examples/room -demo
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
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

// settings are the flags.
type settings struct {
	kcp, plain, tcp, sealed, ws, pages string // where to listen
	keyFile, cert, certKey, moveTo     string
	routes, demo                       bool
	bots                               int
	tick, length                       time.Duration
	interval, timeout, grace, window   time.Duration
	cluster                            number
	dir, public                        string
	directory, probe                   string
}

func (s *settings) parse() {
	flag.StringVar(&s.kcp, "kcp", "127.0.0.1:7776", "listen `address` of sealed KCP")
	flag.StringVar(&s.keyFile, "key", "", "`file` of the server's private key, made if there is none; without it the key is another one after each start")
	flag.StringVar(&s.plain, "plain-kcp", "127.0.0.1:7777", "listen `address` of plain KCP")
	flag.StringVar(&s.tcp, "tcp", "127.0.0.1:7777", "listen `address` of TCP")
	flag.StringVar(&s.sealed, "stcp", "127.0.0.1:7776", "listen `address` of sealed TCP, for players without UDP")
	flag.StringVar(&s.ws, "ws", "127.0.0.1:7778", "listen `address` of WebSocket")
	flag.StringVar(&s.cert, "tls-cert", "", "`file` of the certificate with which WebSockets are served on TLS; without it they are not")
	flag.StringVar(&s.certKey, "tls-key", "", "`file` of the certificate's key")
	flag.StringVar(&s.pages, "http", "127.0.0.1:8080", "listen `address` of the page, /healthz, /livez and /debug")
	flag.StringVar(&s.probe, "probe", "", "ask a `URL` of a server as /livez, and end with 0 if the answer is 200: for a container without another program")
	flag.BoolVar(&s.routes, "routes", false, "print what players may send and what they are sent, and end")
	flag.BoolVar(&s.demo, "demo", false, "the page plays by itself, and shows what happens when a player drops out of a match")
	flag.IntVar(&s.bots, "bots", 8, "built-in bots; each pulls its cable now and then")
	flag.DurationVar(&s.tick, "tick", 50*time.Millisecond, "time between two states")
	flag.DurationVar(&s.length, "match", 30*time.Second, "length of a match")
	flag.DurationVar(&s.interval, "interval", 0, "heartbeat interval (default 10s)")
	flag.DurationVar(&s.timeout, "timeout", 0, "silence that ends a link (default 3.5 intervals)")
	flag.DurationVar(&s.grace, "grace", 0, "how long a seat is kept for a dropped player (default 1m)")
	flag.DurationVar(&s.window, "drain", 0, "after SIGTERM, the time over which players are let go")
	flag.StringVar(&s.moveTo, "move-to", "", "after SIGTERM, `addresses` where the players go, as tcp://host:port")
	s.clusterFlags()
	flag.Parse()
	if flag.NArg() > 0 { // what follows it would not be read
		log.Fatalf("%q is no flag; a switch takes its value as in -demo=false", flag.Arg(0))
	}
	s.shiftPorts()
}

func main() {
	var s settings
	s.parse()
	if s.probe != "" {
		if err := probe(s.probe); err != nil {
			log.Fatal(err)
		}
		return
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, nil))
	game := &game{log: logger, tick: s.tick, length: s.length, number: s.cluster.n}
	cfg := s.config(logger)
	leave, err := s.joinCluster(&cfg, logger)
	if err != nil {
		log.Fatal(err)
	}
	defer leave()
	srv, err := game.newServer(cfg)
	if err != nil {
		log.Fatal(err)
	}
	if s.routes {
		for _, r := range srv.Routes() {
			fmt.Println(r)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	gen.Announce(srv, logger)
	srv.AdminPage("GET /metrics", metrics.Handler(srv))
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", s.pages)
	if err != nil {
		log.Fatal(err)
	}
	site := newSite(pagesOf(srv, s.demo))
	go func() { log.Print(s.serve(site, listener)) }() // ends with site.Close
	s.announce(srv, listener.Addr())

	s.playBots(ctx, srv, logger)
	<-ctx.Done() // the bots have waited for it, if there are bots
	stop()       // another signal ends it at once
	stopping, cancel := context.WithTimeout(context.Background(), s.window+10*time.Second)
	defer cancel()
	err = srv.Shutdown(stopping)
	_ = site.Close() // last: /healthz tells that it drains
	if err != nil {
		log.Print(err)
		leave()
		os.Exit(1)
	}
}

// config is what the flags say of the server.
func (s *settings) config(logger *slog.Logger) framework.Config {
	return framework.Config{
		KCP: s.kcp, KeyFile: s.keyFile, PlainKCP: s.plain, TCP: s.tcp, SealedTCP: s.sealed, WebSocket: s.ws, TLSCertFile: s.cert, TLSKeyFile: s.certKey, Logger: logger,
		Session: framework.SessionConfig{Interval: s.interval, Timeout: s.timeout, Grace: s.grace},
		Strict:  true, // while it is developed: what comes to nothing is told
		Drain:   framework.Drain{Window: s.window, Address: s.moveTo},
		// A name is all it takes to get in here; a real game asks its accounts.
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			if n := len(l.Ticket); n == 0 || n > 32 {
				return framework.Identity{}, framework.Fail(1001, "a name has 1 to 32 bytes")
			}
			return framework.Identity{User: string(l.Ticket)}, nil
		},
	}
}

// newSite makes the server of the pages. 64 connections are served at once, so one that is slow to send a
// request, or to read an answer, is in the way of others, probes too. A profile of 30 s must still fit.
func newSite(pages http.Handler) *http.Server {
	return &http.Server{
		Handler: pages, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second,
		ReadTimeout: 35 * time.Second, WriteTimeout: 35 * time.Second, MaxHeaderBytes: 16 << 10,
	}
}

// serve serves the pages. A page that came by https opens nothing but wss.
func (s *settings) serve(site *http.Server, l net.Listener) error {
	l = netutil.LimitListener(l, 64)
	if s.cert == "" {
		return site.Serve(l)
	}
	return site.ServeTLS(l, s.cert, s.certKey)
}

// announce prints where everything is.
func (s *settings) announce(srv *framework.Server, pages net.Addr) {
	tls := ""
	if s.cert != "" {
		tls = "s"
	}
	addr := fmt.Sprintf("kcp://%v", srv.Addr(framework.KCP))
	fmt.Printf("players  %s  plain-kcp://%v  tcp://%v  ws%s://%v  stcp://%v\n", addr,
		srv.Addr(framework.PlainKCP), srv.Addr(framework.TCP), tls, srv.Addr(framework.WebSocket), srv.Addr(framework.SealedTCP))
	fmt.Println("key     ", srv.PublicKey())
	fmt.Printf("page     http%s://%v  open it twice\nlook     http%[1]s://%[2]v/debug/  http%[1]s://%[2]v/metrics\n", tls, pages)
	s.announceCluster()
	fmt.Printf("bots     go run ./examples/room/bot -addr %s -key %s -n 50 -duration 20s -cut 3s\n", addr, srv.PublicKey())
}

// playBots lets the built-in bots play until ctx ends.
func (s *settings) playBots(ctx context.Context, srv *framework.Server, logger *slog.Logger) {
	if s.bots <= 0 {
		return
	}
	game := &swarm.Game{Room: "lobby", Rate: 0.2, Logger: logger}
	cfg := bots.Config{Addrs: []string{fmt.Sprintf("kcp://%v", srv.Addr(framework.KCP))}, ServerKey: srv.PublicKey(), Bots: s.bots, Cut: 10 * time.Second, Client: game.Client}
	if s.cluster.n > 0 { // a user is one in the whole cluster
		game.Own, cfg.Name = true, fmt.Sprintf("bot%d", s.cluster.n)
	}
	if _, err := bots.Run(ctx, cfg, game.Play); err != nil {
		log.Fatal(err)
	}
}

// probe asks a server how it is. The error is what it says.
func probe(url string) error {
	asker := http.Client{Timeout: 4 * time.Second}
	res, err := asker.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return fmt.Errorf("%s: %s: %s", url, res.Status, bytes.TrimSpace(why))
	}
	return nil
}

// pagesOf are the game's page and the admin pages of a server.
func pagesOf(srv *framework.Server, demo bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", page.Handler(page.Config{WebSocketPort: srv.Addr(framework.WebSocket).Port(), Room: "lobby", Demo: demo}))
	mux.Handle("/healthz", srv.Admin())
	mux.Handle("/livez", srv.Admin())
	mux.Handle("/metrics", srv.Admin())
	mux.Handle("/debug/", srv.Admin()) // guarded: it shows addresses and ends sessions
	return mux
}

// game is what the rooms of a server share. Immutable once the server is made.
type game struct {
	log    *slog.Logger
	tick   time.Duration // between two states
	length time.Duration // of a match
	number uint16        // of this server, 0: it is alone
	arena  *framework.Rooms[*Arena]

	cluster framework.Cluster // nil: this server is alone
}

// Place is the data of a player, which goes with it to another server.
type Place struct {
	Arena string // key of the one that it is in, empty: none
}

// newServer makes a server of the game.
func (g *game) newServer(cfg framework.Config) (*framework.Server, error) {
	cfg.OnOpen, g.cluster = g.open, cfg.Cluster
	srv, err := framework.New(cfg)
	if err == nil {
		g.register(srv)
	}
	return srv, err
}

// open puts a player who comes from another server into the arena that it was in there,
// before anything else of it is handled. In a cluster the arena of a key is at one server,
// and the player goes there.
func (g *game) open(p *framework.Player) {
	if at := framework.DataOf[Place](p); at.Arena != "" {
		if err := g.arena.JoinAsync(p, at.Arena); err != nil {
			g.log.Warn("not put into the arena", "player", p.User(), "error", err)
		}
	}
}

// register gives the server all that players may send and are sent: what
// messages.lock is about.
func (g *game) register(srv *framework.Server) {
	framework.CarryData[Place](srv)
	g.arena = framework.AddRoom(srv, "arena", g.newArena).Tick(g.tick).Seats(500)
	framework.OnRoomMessage(g.arena, "move", (*Arena).Move).Max(64)
	framework.OnRoomMessage(g.arena, "chat", (*Arena).Chat).Max(maxChat)
	framework.OnRoomRequest(g.arena, "look", (*Arena).Look)
	framework.OnRoomRequest(g.arena, "pass", (*Arena).Pass)
	matches := framework.AddRoom(srv, "match", g.newMatch).Tick(g.tick).Seats(matchSeats)
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
