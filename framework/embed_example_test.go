// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
)

// Inside a program that has a life, an HTTP server and a mux of its own: the
// admin pages are a handler like any other, and the end of the program's context
// drains the players before the program goes on to its own end.
func Example_embedded() {
	ctx, stop := context.WithCancel(context.Background()) // signal.NotifyContext in a real one
	defer stop()

	srv, err := framework.New(framework.Config{
		TCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
		OnClose: func(_ *framework.Player, why framework.Reason) { fmt.Println("a player goes:", why) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "the program's own page") })
	mux.Handle("/debug/", srv.Admin()) // loopback only, as there is no AdminToken
	mux.Handle("GET /healthz", srv.Admin())
	pages := httptest.NewServer(mux) // an http.Server in a real one
	defer pages.Close()
	get := func(path string) {
		r, err := http.Get(pages.URL + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		first, _, _ := strings.Cut(string(body), "\n")
		fmt.Println(path, r.StatusCode, first)
	}

	// Start tells at once whether the addresses are free. A program with nothing
	// to do after it calls srv.Run(ctx) instead of this and of Shutdown.
	if err := srv.Start(); err != nil {
		fmt.Println(err)
		return
	}
	connect(player(srv, "ann"))
	get("/hello")
	get("/healthz")
	fmt.Println(srv.Stats().Sessions, "player")

	stop()
	<-ctx.Done()
	err = srv.Shutdown(context.Background()) // with a deadline in a real one
	get("/healthz")
	fmt.Println("drained:", err)
	for _, c := range guests {
		_ = c.Close()
	}
	guests = nil
	// Output:
	// /hello 200 the program's own page
	// /healthz 200 ok
	// 1 player
	// a player goes: shutting down
	// /healthz 503 draining
	// drained: <nil>
}

// signed makes a ticket as the game's login service would: the user, and a proof
// that the service vouches for it.
func signed(user string, key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(user))
	return user + ":" + hex.EncodeToString(mac.Sum(nil))
}

// Who a player is, the game decides, by tickets of whatever kind. The hook runs
// on a goroutine of its own and may ask a database, as long as ctx lets it.
func Example_authentication() {
	key := []byte("known to the login service and to the game server")
	banned := map[string]bool{"eve": true}
	srv, err := framework.New(framework.Config{
		TCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler), Duplicate: framework.DuplicateReplace,
		Authenticate: func(_ context.Context, l framework.Login) (framework.Identity, error) {
			user, _, _ := strings.Cut(string(l.Ticket), ":")
			switch {
			case !hmac.Equal(l.Ticket, []byte(signed(user, key))):
				return framework.Identity{}, framework.Fail(1001, "bad ticket") // final: the client stays away
			case banned[user]:
				return framework.Identity{}, framework.Fail(1002, "banned until Friday") // told apart by the code
			}
			// From here on a real one asks its database, whose errors it returns as
			// they are: they are logged, and the client comes back by itself. For
			// maintenance there is Later.
			return framework.Identity{User: user}, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	framework.OnRequest(srv, "whoami", func(p *framework.Player, _ struct{}) (string, error) { return p.User(), nil })
	defer start(srv)()

	for _, ticket := range []string{signed("ann", key), signed("eve", key), "ann:00ff"} {
		c := player(srv, ticket)
		err := c.Connect(context.Background())
		var no *session.CloseError
		if errors.As(err, &no) {
			fmt.Printf("%v: %q, comes back by itself: %v\n", no.Code, no.Text, !no.Code.Final())
			continue
		}
		var name string
		err = c.Request(context.Background(), "whoami", struct{}{}, &name)
		fmt.Println(name, err)
	}
	// Output:
	// ann <nil>
	// code 1002: "banned until Friday", comes back by itself: false
	// code 1001: "bad ticket", comes back by itself: false
}
