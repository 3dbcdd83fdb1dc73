// SPDX-License-Identifier: MIT

// Command probe is two servers that share a store, for the tests of clients in
// other languages: whatever a server may do to a client, its routes do on demand.
// It prints the addresses of each server, and the public key of both.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/match"
	"github.com/lifeline-go/lifeline/framework/social"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// Question is what the client wants to be asked.
type Question struct {
	Route string
	N     uint64
}

// Burst is Count messages of Size bytes that come After so many milliseconds.
type Burst struct{ After, Count, Size int }

// Hall is a room with one seat, in which nothing happens.
type Hall struct{ *framework.Room }

// Match is a room of a list, with a place for strangers.
type Match struct{ *framework.Room }

// OnCreate publishes a map, which is ice in all matches but one.
func (m *Match) OnCreate() error {
	ground := "ice"
	if m.Key() == "desert" {
		ground = "sand"
	}
	return m.Publish(map[string]string{"map": ground})
}

// OnJoin greets with what has to come before the news that the player is in.
func (m *Match) OnJoin(p *framework.Player) error { return p.Push("greeted", m.Key()) }

// Duel is where two of the queue "ranked" meet.
type Duel struct{ *framework.Room }

// Numbered is one of them.
type Numbered struct {
	N   uint64
	Pad []byte
}

func main() {
	ports := flag.Int("ports", 0, "first of ten `ports`, the servers' kcp, plain-kcp, tcp, ws and stcp; 0: any")
	key := flag.String("key", "", "`file` of the servers' private key, made if there is none; without it the key is another one after each start")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if *key == "" { // both have the same one all the same
		dir, err := os.MkdirTemp("", "probe")
		if err != nil {
			log.Fatal(err)
		}
		defer os.RemoveAll(dir)
		*key = filepath.Join(dir, "key")
	}
	store := new(framework.MemoryStore)
	var servers [2]*framework.Server
	for i := range servers {
		port := func(n int) string {
			if *ports == 0 {
				return "127.0.0.1:0"
			}
			return fmt.Sprintf("127.0.0.1:%d", *ports+5*i+n)
		}
		srv, err := framework.New(framework.Config{
			KCP: port(0), PlainKCP: port(1), TCP: port(2), WebSocket: port(3), SealedTCP: port(4), KeyFile: *key, AlwaysCookie: i == 1,
			Logger: slog.New(slog.DiscardHandler), Node: uint16(i), Store: store, Secret: session.Secret{1, 2, 3},
			Session: session.Config{Interval: time.Second, Timeout: 4 * time.Second, SendPackets: 200}, Rate: framework.Rate{Messages: -1, Bytes: -1},
			Authenticate: authenticate(),
		})
		if err != nil {
			log.Fatal(err)
		}
		servers[i] = srv
		routes(srv, func() string { return addresses(servers[1-i]) })
		if err := srv.Start(); err != nil {
			log.Fatal(err)
		}
	}
	secure, err := terminate(ctx, servers[0].Addr(transport.WebSocket).String())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("server", addresses(servers[0]), "wss://"+secure)
	fmt.Println("server", addresses(servers[1]))
	fmt.Println("key", servers[0].PublicKey())
	<-ctx.Done()
	for _, srv := range servers {
		_ = srv.Shutdown(context.Background())
	}
}

func addresses(srv *framework.Server) string {
	return fmt.Sprintf("kcp://%v plain-kcp://%v tcp://%v ws://%v stcp://%v", srv.Addr(transport.KCP), srv.Addr(transport.PlainKCP), srv.Addr(transport.TCP), srv.Addr(transport.WebSocket), srv.Addr(transport.SealedTCP))
}

// authenticate bans one, and lets another in the second time only.
func authenticate() func(context.Context, framework.Login) (framework.Identity, error) {
	var early atomic.Bool
	return func(_ context.Context, l framework.Login) (framework.Identity, error) {
		switch user := string(l.Ticket); {
		case user == "banned":
			return framework.Identity{}, framework.Fail(1002, "until Friday")
		case user == "early" && !early.Swap(true):
			return framework.Identity{}, framework.Later(100*time.Millisecond, "patching")
		default:
			return framework.Identity{User: user}, nil
		}
	}
}

func routes(srv *framework.Server, other func() string) {
	framework.OnRaw(srv, "echo", func(_ *framework.Player, payload, dst []byte) ([]byte, error) {
		return append(dst, payload...), nil
	}).Inline()
	framework.OnRequest(srv, "ask", func(p *framework.Player, q Question) (uint64, error) {
		var n uint64
		err := p.Request(p.Context(), q.Route, q.N, &n)
		var e *codec.Error
		if errors.As(err, &e) {
			return 0, framework.Fail(codec.GameError+e.Code, e.Text)
		}
		return n, err
	})
	framework.OnMessage(srv, "say", func(p *framework.Player, m codec.Raw) { _ = p.Push("said", m) })
	framework.OnMessage(srv, "burst", func(p *framework.Player, b Burst) {
		time.AfterFunc(time.Duration(b.After)*time.Millisecond, func() {
			for n := range b.Count {
				_ = p.Push("numbered", Numbered{uint64(n + 1), make([]byte, b.Size)})
			}
		})
	})
	framework.OnMessage(srv, "move", func(p *framework.Player, _ struct{}) { _ = p.Move(other()) })
	framework.OnMessage(srv, "kick", func(p *framework.Player, code uint32) { p.Kick(session.Code(code), "as you wish") })
	framework.OnRequest(srv, "tune", func(p *framework.Player, ms uint64) (bool, error) {
		d := time.Duration(ms) * time.Millisecond
		return true, p.SetHeartbeat(framework.HeartbeatProfile{Interval: d, Timeout: 4 * d})
	})
	framework.AddRoom(srv, "hall", func(r *framework.Room) *Hall { return &Hall{r} }).Seats(1)
	matches := framework.AddRoom(srv, "match", func(r *framework.Room) *Match { return &Match{r} }).Listed().Seats(4)
	framework.OnRoomMessage(matches, "cast", func(m *Match, _ *framework.Player, v codec.Raw) { _ = m.Broadcast("said", v) })
	framework.OnRoomRequest(matches, "where", func(m *Match, _ *framework.Player, _ struct{}) (string, error) { return m.Key(), nil })
	framework.OnRoomMessage(matches, "finish", func(m *Match, _ *framework.Player, text string) { m.Close(framework.RoomFinished, text) })
	framework.OnMessage(srv, "take", func(p *framework.Player, key string) { _ = matches.Move(p, key) })
	srv.Sends(framework.DeliverAll, "said", "numbered", "greeted")
	together(srv)
}

// together has a queue for two, parties and presence.
func together(srv *framework.Server) {
	parties := social.NewParties(srv, social.PartyConfig{})
	social.NewPresence(srv, social.PresenceConfig{MayWatch: func(*framework.Player, string) bool { return true }})
	duels := framework.AddRoomWith(srv, "duel", func(r *framework.Room, _ struct{}) (*Duel, error) { return &Duel{r}, nil })
	maker := match.New(srv, match.Options{Party: parties.Together})
	rules := match.Rules{Accept: 10 * time.Second}
	match.Add(maker, "ranked", duels, match.Config{Rules: rules, Interval: 50 * time.Millisecond}, func(match.Made) (struct{}, error) { return struct{}{}, nil })
}

// terminate is the proxy that makes wss:// of ws://: it speaks TLS, with a
// certificate that no authority signed. It ends with ctx.
func terminate(ctx context.Context, to string) (addr string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return "", err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: private}}})
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go func() { // ends with l
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go pipe(c, to) // ends with c
		}
	}()
	return l.Addr().String(), nil
}

// pipe carries bytes between a client and the server until either ends.
func pipe(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { // ends with client or server
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, server)
}
