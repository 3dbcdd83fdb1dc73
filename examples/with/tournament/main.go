// SPDX-License-Identifier: MIT

// Command tournament is a whole game in little: a lobby with a chat, a queue by rating and
// parties, matches in real time, profiles and results in a database, bans and maintenance.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/match"
	"github.com/lifeline-go/lifeline/framework/social"
)

// What clients are told by code.
const codeBadName, codeBanned, codeNotYourTurn, codeTaken = 1001, 1002, 1004, 1005

// game is what its rooms have in common. Immutable once the server runs.
type game struct {
	srv     *framework.Server
	store   *store
	lobbies *framework.Rooms[*Lobby]
	matches *framework.RoomsOf[*Match, Params]
	parties *social.Parties
	maker   *match.Matchmaker
}

// login takes the ticket for the user's name; examples/with/jwt does it as it should
// be done. What it loads is there in every handler: framework.DataOf[*Profile](p).
func (g *game) login(ctx context.Context, l framework.Login) (framework.Identity, error) {
	user := string(l.Ticket)
	if user == "" || len(user) > 32 || strings.TrimSpace(user) != user {
		return framework.Identity{}, framework.Fail(codeBadName, "a name has 1 to 32 bytes")
	}
	profile, err := g.store.profile(ctx, user)
	switch {
	case err != nil:
		return framework.Identity{}, err // the client comes back by itself
	case profile.Banned:
		return framework.Identity{}, framework.Fail(codeBanned, "banned")
	}
	return framework.Identity{User: user, Data: profile}, nil
}

// ban throws a user out, and keeps it out.
func (g *game) ban(ctx context.Context, user string) error {
	if err := g.store.ban(ctx, user); err != nil {
		return err
	}
	for _, p := range g.srv.User(user) {
		p.Kick(codeBanned, "banned")
	}
	return nil
}

func newGame(cfg framework.Config, s *store) (*game, error) {
	g := &game{store: s}
	cfg.Strict, cfg.Authenticate = true, g.login // strict while it is developed
	cfg.OnOpen = func(p *framework.Player) {
		_ = p.Push("profile", framework.DataOf[*Profile](p))
		_ = g.lobbies.JoinAsync(p, lobbyKey)
	}
	srv, err := framework.New(cfg)
	if err != nil {
		return nil, err
	}
	g.srv = srv
	g.lobbies = framework.AddRoom(srv, "lobby", func(r *framework.Room) *Lobby { return &Lobby{Room: r} }).Private()
	framework.OnRoomMessage(g.lobbies, "say", (*Lobby).Say).Max(512)
	g.matches = framework.AddRoomWith(srv, "match", func(r *framework.Room, p Params) (*Match, error) {
		return &Match{Room: r, game: g, friendly: p.Friendly, board: Board{Cells: strings.Repeat(".", 9), Players: p.Players}}, nil
	}).Private().Seats(2).Tick(step)
	framework.OnRoomMessage(g.matches, "steer", (*Match).Steer)
	framework.OnRoomRequest(g.matches, "claim", (*Match).Claim)
	g.addQueue()
	framework.SendsAs[[2]Point](srv, framework.DeliverNewest, "places")
	srv.Sends(framework.DeliverAll, "profile", "said", "board", "result")
	srv.AdminPage("POST /ban", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := g.ban(r.Context(), r.FormValue("user")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	srv.AdminPage("POST /maintenance", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		srv.Maintenance(r.FormValue("text"), time.Minute) // without a text it is over
	}))
	return g, nil
}

func main() {
	s, err := openStore("tournament.db")
	if err != nil {
		log.Fatal(err)
	}
	g, err := newGame(framework.Config{KCP: ":7777", WebSocket: ":7778", Admin: "127.0.0.1:8081"}, s)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err = g.srv.Run(ctx)
	if err = errors.Join(err, s.db.Close()); err != nil { // results are written by now
		log.Fatal(err)
	}
}
