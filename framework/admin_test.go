// SPDX-License-Identifier: MIT

package framework_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/internal/logtest"
	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// ask sends an operator's request. Headers come in pairs.
func ask(h http.Handler, method, url string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:4000", "localhost:8081"
	for i := 0; i < len(header); i += 2 {
		switch header[i] {
		case "Host":
			r.Host = header[i+1]
		case "From-Addr":
			r.RemoteAddr = header[i+1]
		default:
			r.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func read[T any](t *testing.T, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

type sessionsPage struct {
	Stats    framework.Stats
	Sessions []struct{ ID, User, State, Carrier, Room, Address string }
}

func TestAdminShowsAndKicks(t *testing.T) {
	simulate(t, 1, memnet.Conditions{Delay: 5 * time.Millisecond}, framework.Config{Session: quick}, func(srv *framework.Server) {
		framework.AddRoom(srv, "hall", func(r *framework.Room) *framework.Room { return r })
		framework.AddRoom(srv, "duel", func(r *framework.Room) *framework.Room { return r })
	}, func(e *env) {
		ann, bob := e.dial("ann", transport.TCP), e.dial("bob", transport.PlainKCP)
		if err := errors.Join(ann.Join(e.t.Context(), "hall", "1"), ann.Join(e.t.Context(), "duel", "7")); err != nil {
			t.Fatal(err)
		}
		bob.Pause()
		time.Sleep(time.Second)
		h := e.srv.Admin()

		all := read[sessionsPage](e.t, ask(h, "GET", "/debug/sessions"))
		if len(all.Sessions) != 2 || all.Stats.Attached["tcp"] != 1 || all.Stats.Detached != 1 || all.Stats.Lost["away"] != 1 {
			t.Errorf("%d sessions, %+v", len(all.Sessions), all.Stats)
		}
		for query, want := range map[string]string{
			"user=bob": "bob", "state=detached": "bob", "state=attached": "ann", "carrier=tcp": "ann",
			"room=hall": "ann", "room=hall/1": "ann", "user=nobody": "", "room=hall/2": "",
			"room=duel": "ann", "room=duel/7": "ann", "room=duel/1": "", "room=duel/77": "", "room=all": "", // in two rooms
		} {
			got := read[sessionsPage](e.t, ask(h, "GET", "/debug/sessions?"+query)).Sessions
			if want == "" && len(got) != 0 || want != "" && (len(got) != 1 || got[0].User != want) {
				t.Errorf("%s shows %+v, want %q", query, got, want)
			}
		}
		if n := len(read[sessionsPage](e.t, ask(h, "GET", "/debug/sessions?limit=1")).Sessions); n != 1 {
			t.Errorf("limit=1 shows %d", n)
		}
		page := ask(h, "GET", "/debug/").Body.String()
		for _, c := range transport.Carriers() {
			if !strings.Contains(page, "<option>"+c.String()+"</option>") {
				t.Errorf("the inspector does not offer to list the sessions of %v", c)
			}
		}
		rooms := read[struct{ Rooms []framework.RoomInfo }](e.t, ask(h, "GET", "/debug/rooms?type=hall")).Rooms
		if len(rooms) != 1 || rooms[0] != (framework.RoomInfo{Type: "hall", Key: "1", Players: 1}) {
			t.Errorf("rooms %+v", rooms)
		}
		if rooms := read[struct{ Rooms []framework.RoomInfo }](e.t, ask(h, "GET", "/debug/rooms?key=2")).Rooms; len(rooms) != 0 {
			t.Errorf("rooms %+v", rooms)
		}

		url := "/debug/sessions/" + ann.ID().String()
		if one := read[map[string]any](e.t, ask(h, "GET", url)); one["user"] != "ann" || one["room"] != "duel/7 hall/1" || one["link_bytes_out"] == 0.0 {
			t.Errorf("inspect: %+v", one)
		}
		if w := ask(h, "POST", url+"/kick?code=1042&text=bye"); w.Code != http.StatusAccepted {
			t.Errorf("kick: %d %s", w.Code, w.Body)
		}
		e.within(time.Second, "ann is gone", func() bool { return ann.Err() != nil })
		if why, _ := ann.Err().(*session.CloseError); why == nil || why.Code != 1042 || why.Text != "bye" {
			t.Errorf("ann: %v", ann.Err())
		}
		if w := ask(h, "GET", url); w.Code != http.StatusNotFound {
			t.Errorf("after the kick: %d", w.Code)
		}
		for path, want := range map[string]int{
			"/debug/sessions/xyz/kick":                                           http.StatusBadRequest,
			"/debug/sessions/" + strings.Repeat("0", 32) + "/kick":               http.StatusNotFound,
			"/debug/sessions/" + bob.ID().String() + "/kick?code=8":              http.StatusBadRequest,
			"/debug/sessions/" + bob.ID().String() + "/kick?code=not-a-number":   http.StatusBadRequest,
			"/debug/sessions/" + bob.ID().String() + "/kick?code=99999999999999": http.StatusBadRequest,
		} {
			if w := ask(h, "POST", path); w.Code != want {
				t.Errorf("POST %s: %d, want %d", path, w.Code, want)
			}
		}
	})
}

// TestAdminIsForOperators: who may read the pages, and whose posts count.
func TestAdminIsForOperators(t *testing.T) {
	build := func(cfg framework.Config) http.Handler {
		srv, err := framework.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		srv.AdminPage("GET /extra", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "extra") }))
		return srv.Admin()
	}
	open, locked := build(framework.Config{}), build(framework.Config{AdminToken: "s3cret"})
	kick := "/debug/sessions/" + strings.Repeat("0", 32) + "/kick" // 404 once it is let in
	bearer := []string{"Authorization", "Bearer s3cret"}
	for _, c := range []struct {
		what   string
		h      http.Handler
		method string
		url    string
		header []string
		want   int
	}{
		{"loopback", open, "GET", "/debug/stats", nil, 200},
		{"a page of the game's", open, "GET", "/extra", nil, 200},
		{"IPv6", open, "GET", "/debug/stats", []string{"From-Addr", "[::1]:9", "Host", "[::1]:8081"}, 200},
		{"mapped IPv4", open, "GET", "/debug/stats", []string{"From-Addr", "[::ffff:127.0.0.1]:9", "Host", "127.0.0.1"}, 200},
		{"from elsewhere", open, "GET", "/debug/stats", []string{"From-Addr", "192.0.2.1:9"}, 403},
		{"from elsewhere, the game's", open, "GET", "/extra", []string{"From-Addr", "192.0.2.1:9"}, 403},
		{"DNS rebinding", open, "GET", "/debug/sessions", []string{"Host", "evil.example:8081"}, 403},
		{"a name that begins like ours", open, "GET", "/debug/sessions", []string{"Host", "localhost.evil.example"}, 403},
		{"health is for load balancers", open, "GET", "/healthz", []string{"From-Addr", "192.0.2.1:9", "Host", "a"}, 200},
		{"post by curl", open, "POST", kick, nil, 404},
		{"post of our own page", open, "POST", kick, []string{"Origin", "http://localhost:8081"}, 404},
		{"post of another site", open, "POST", kick, []string{"Origin", "http://evil.example"}, 403},
		{"post of another site, newer browser", open, "POST", kick, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"read by another site", open, "GET", "/debug/pprof/trace?seconds=0.01", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"read by a neighbour of ours", open, "GET", "/debug/stats", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"read by our own page", open, "GET", "/debug/stats", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"read from the address bar", open, "GET", "/debug/stats", []string{"Sec-Fetch-Site", "none"}, 200},
		{"read by another site with a token", locked, "GET", "/debug/stats", append([]string{"Sec-Fetch-Site", "cross-site"}, bearer...), 403},
		{"by a proxy", open, "GET", "/debug/stats", []string{"X-Forwarded-For", "192.0.2.1"}, 403},
		{"by a proxy that tells the host", open, "GET", "/debug/stats", []string{"X-Forwarded-Host", "evil.example"}, 403},
		{"by a proxy of the standard", open, "GET", "/debug/stats", []string{"Forwarded", "for=192.0.2.1"}, 403},
		{"by a proxy that only says so", open, "GET", "/debug/stats", []string{"Via", "1.1 nginx"}, 403},
		{"by nginx's habit", open, "GET", "/debug/stats", []string{"X-Real-IP", "192.0.2.1"}, 403},
		{"by a proxy, with a token", locked, "GET", "/debug/stats", append([]string{"X-Forwarded-For", "192.0.2.1"}, bearer...), 200},
		{"kick is no GET", open, "GET", kick, nil, 405},
		{"no token", locked, "GET", "/debug/stats", nil, 401},
		{"wrong token", locked, "GET", "/debug/stats", []string{"Authorization", "Bearer s3cre"}, 401},
		{"token of another scheme", locked, "GET", "/debug/stats", []string{"Authorization", "s3cret"}, 401},
		{"token", locked, "GET", "/debug/stats", bearer, 200},
		{"token from elsewhere", locked, "GET", "/debug/stats", append([]string{"From-Addr", "192.0.2.1:9", "Host", "ops.example"}, bearer...), 200},
		{"token, but another site", locked, "POST", kick, append([]string{"Origin", "http://evil.example"}, bearer...), 403},
		{"profile without token", locked, "GET", "/debug/pprof/heap", nil, 401},
		{"profile", locked, "GET", "/debug/pprof/heap", bearer, 200},
		{"list of profiles", open, "GET", "/debug/pprof/", nil, 200},
		{"profile to read", open, "GET", "/debug/pprof/goroutine?debug=1", nil, 200},
		{"no such profile", open, "GET", "/debug/pprof/nothing", nil, 404},
		{"recording", open, "GET", "/debug/pprof/trace?seconds=0.01", nil, 200},
	} {
		if w := ask(c.h, c.method, c.url, c.header...); w.Code != c.want {
			t.Errorf("%s: %s %s is answered %d, want %d", c.what, c.method, c.url, w.Code, c.want)
		}
	}
	if w := ask(open, "GET", "/debug/pprof/goroutine?debug=1"); !bytes.Contains(w.Body.Bytes(), []byte("serveProfile")) {
		t.Error("the profile of goroutines does not show who made it")
	}
	// The game may serve http.DefaultServeMux to the world.
	if _, pattern := http.DefaultServeMux.Handler(httptest.NewRequest("GET", "/debug/pprof/", nil)); pattern != "" {
		t.Errorf("framework puts %s on http.DefaultServeMux", pattern)
	}
}

func TestAdminListener(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:0": true, "localhost:0": true, "[::1]:0": true,
		":0": false, "0.0.0.0:0": false, "192.0.2.1:80": false, "nonsense": false,
	} {
		if _, err := framework.New(framework.Config{Admin: addr}); (err == nil) != ok {
			t.Errorf("Admin %q without a token: %v", addr, err)
		}
		if _, err := framework.New(framework.Config{Admin: addr, AdminToken: "x"}); (err == nil) != (addr != "nonsense") {
			t.Errorf("Admin %q with a token: %v", addr, err)
		}
	}
	srv, err := framework.New(framework.Config{Admin: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	url := "http://" + srv.AdminAddr().String()
	r, err := http.Get(url + "/healthz")
	if err != nil || r.StatusCode != 200 {
		t.Errorf("health: %v, %v", r, err)
	}
	r.Body.Close()
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(url + "/healthz"); err == nil {
		t.Error("the admin pages outlive the server")
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestInspectorIsServedEmpty: a browser can't send a token for a page, so the
// page comes without one and has nothing to tell.
func TestInspectorIsServedEmpty(t *testing.T) {
	srv, err := framework.New(framework.Config{TCP: "127.0.0.1:0", AdminToken: "sesame"})
	if err != nil {
		t.Fatal(err)
	}
	h := srv.Admin()
	for path, kind := range map[string]string{"/debug/": "text/html", "/debug/inspector.js": "text/javascript", "/debug/inspector.css": "text/css", "/debug/icon.svg": "image/svg+xml"} {
		w := ask(h, "GET", path)
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d, %v", path, w.Code, w.Header())
		}
		for _, outside := range []string{"src=\"http", "href=\"http", "url(http", "@import"} {
			if strings.Contains(w.Body.String(), outside) {
				t.Errorf("%s asks for something elsewhere: %s", path, outside)
			}
		}
	}
	for _, path := range []string{"/debug/stats", "/debug/sessions", "/debug/rooms", "/debug/nothing"} {
		if w := ask(h, "GET", path); w.Code != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", path, w.Code)
		}
	}
}

// TestWrongTokensAreCountedAndLogged: somebody may be guessing. One line a minute.
func TestWrongTokensAreCountedAndLogged(t *testing.T) {
	log := &logtest.Lines{}
	srv := configured(t, framework.Config{AdminToken: "s3cret", Logger: log.Logger()})
	h := srv.Admin()
	for range 100 {
		if w := ask(h, "GET", "/debug/stats", "Authorization", "Bearer guess"); w.Code != http.StatusUnauthorized {
			t.Fatalf("got %d", w.Code)
		}
	}
	if n, lines := srv.Stats().AdminRefused, log.Count("admin page refused"); n != 100 || lines != 1 {
		t.Errorf("%d are counted, %d lines: %s", n, lines, log.String())
	}
}
