// SPDX-License-Identifier: MIT

package framework_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lifeline-go/lifeline/framework"
)

// TestPlaygroundSpeaksJSON: what the page sends has the type of its route, and what arrives is
// readable.
func TestPlaygroundSpeaksJSON(t *testing.T) {
	type spot struct {
		ID int
		At []float64
	}
	srv, err := framework.New(framework.Config{})
	if err != nil {
		t.Fatal(err)
	}
	framework.OnMessage(srv, "move", func(*framework.Player, spot) {})
	framework.OnRequest(srv, "ask", func(*framework.Player, string) (spot, error) { return spot{}, nil })
	framework.SendsAs[spot](srv, framework.DeliverAll, "seen")
	framework.AddRoom(srv, "hall", func(r *framework.Room) *framework.Room { return r })
	locked, err := framework.New(framework.Config{AdminToken: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	post := func(h http.Handler, path, body string) (int, string) {
		r := httptest.NewRequest("POST", path, strings.NewReader(body))
		r.RemoteAddr, r.Host = "127.0.0.1:4000", "localhost:8081"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	h := srv.Admin()
	game := read[struct {
		Rooms  []string
		Routes []struct{ Name, Kind, Type, Answer, Sent, Sample string }
	}](t, ask(h, "GET", "/debug/play/routes"))
	if len(game.Rooms) != 1 || game.Rooms[0] != "hall" {
		t.Errorf("rooms %q", game.Rooms)
	}
	shown := map[string]string{}
	for _, r := range game.Routes {
		shown[r.Name] = strings.Join([]string{r.Kind, r.Type, r.Answer, r.Sent, r.Sample}, "|")
	}
	for name, want := range map[string]string{
		"move": `message|framework_test.spot|||{"ID":0,"At":null}`, "ask": `request|string|framework_test.spot||""`, "seen": "|||framework_test.spot|", "room.join": "built in||||",
	} {
		if shown[name] != want {
			t.Errorf("%s is shown as %s, want %s", name, shown[name], want)
		}
	}
	code, text := post(h, "/debug/play/encode?route=move&what=message", `{"ID":7,"At":[1,2.5]}`)
	if code != 200 {
		t.Fatalf("%d %s", code, text)
	}
	packed := strings.Trim(text, `"`)
	if code, text := post(h, "/debug/play/decode?route=seen&what=push", packed); code != 200 || text != `{"ID":7,"At":[1,2.5]}` {
		t.Errorf("decoded %d %s", code, text)
	}
	if code, text := post(h, "/debug/play/decode?route=move&what=push", packed); code != 200 || text != `[7,[1,2.5]]` { // no type is known
		t.Errorf("without a type %d %s", code, text)
	}
	for _, c := range []struct {
		path, body string
		want       int
	}{
		{"encode?route=move&what=message", `{"Id":1,"Z":2}`, 400}, {"encode?route=move&what=message", `{} {}`, 400}, {"encode?route=move&what=message", `"x"`, 400},
		{"encode?route=nowhere&what=message", `{}`, 404}, {"encode?route=move&what=dance", `{}`, 404},
		{"encode?route=ask&what=request", `"` + strings.Repeat("x", 2<<20) + `"`, 400},
		{"decode?route=seen&what=push", "????", 400}, {"decode?route=seen&what=push", "3q2+7w==", 400},
	} {
		if code, text := post(h, "/debug/play/"+c.path, c.body); code != c.want {
			t.Errorf("%s: %d %s, want %d", c.path, code, text, c.want)
		}
	}
	for _, path := range []string{"encode?route=move&what=message", "decode?route=seen&what=push"} {
		if code, _ := post(locked.Admin(), "/debug/play/"+path, "{}"); code != http.StatusUnauthorized {
			t.Errorf("without the token %s is answered %d", path, code)
		}
	}
	if w := ask(locked.Admin(), "GET", "/debug/play/routes"); w.Code != http.StatusUnauthorized {
		t.Errorf("without the token the routes are answered %d", w.Code)
	}
	page := ask(locked.Admin(), "GET", "/debug/playground.html")
	if policy := page.Header().Get("Content-Security-Policy"); page.Code != 200 || !strings.Contains(policy, "connect-src 'self' ws: wss:") {
		t.Errorf("the page: %d %s", page.Code, policy)
	}
	if policy := ask(locked.Admin(), "GET", "/debug/").Header().Get("Content-Security-Policy"); strings.Contains(policy, "ws:") {
		t.Errorf("the inspector may connect anywhere: %s", policy)
	}
}
