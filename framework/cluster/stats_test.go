// SPDX-License-Identifier: MIT

package cluster_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/cluster"
	"github.com/lifeline-go/lifeline/session"
)

// page is what /debug/cluster shows.
type page struct {
	Incarnation, State string
	Stats              framework.ClusterStats
	Servers            []struct {
		Node                        uint16
		Incarnation                 string
		Address, State, Unreachable string
		RenewedMs                   int64 `json:"renewed_ms"`
		Players, Rooms              int
		Stats                       *framework.ClusterStats
	}
	Room *struct {
		State, Address string
		Node           uint16
		Gen            uint64
	}
	Sessions []struct {
		Session, State, Address string
		Node                    uint16
		Record                  int
		Rooms                   []string
	}
	Rooms []struct {
		Type, Key, Owner string
		Node             uint16
		Gen              uint64
		Players, Seats   int
	}
	MoreRooms bool `json:"more_rooms"`
}

// get asks the admin pages of a server.
func get(srv *framework.Server, url string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", url, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:4000", "localhost"
	w := httptest.NewRecorder()
	srv.Admin().ServeHTTP(w, r)
	return w
}

func look(t *testing.T, srv *framework.Server, query string) (p page) {
	t.Helper()
	w := get(srv, "/debug/cluster"+query)
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusOK {
		t.Fatalf("/debug/cluster%s: %d, %v: %s", query, w.Code, err, w.Body)
	}
	return p
}

// probes returns what a server says to the probes for readiness and liveness.
func probes(srv *framework.Server) string {
	return strings.TrimSpace(get(srv, "/healthz").Body.String() + "| " + get(srv, "/livez").Body.String())
}

// TestOperatorsSeeTheCluster: who lives, what each server does, and where a user is.
func TestOperatorsSeeTheCluster(t *testing.T) {
	play(t, 3, nil, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		ann := s.dial(a, "ann", "")
		id := ann.ID().String()
		s.dial(b, "ann", ann.Token()) // is sent to a
		time.Sleep(3 * time.Second)
		p := look(s.t, b.Server, "?user=ann")
		if p.State != "up" || len(p.Servers) != 3 || len(p.Sessions) != 1 {
			s.t.Fatalf("%+v", p)
		}
		if at := p.Sessions[0]; at.Node != 1 || at.State != "up" || at.Session != id || at.Address != "tcp://10.0.0.1:7778" {
			t.Errorf("ann is at %+v", at)
		}
		for i, v := range p.Servers {
			if v.Node != uint16(i+1) || v.State != "up" || v.RenewedMs > 2500 || v.Stats == nil || v.Stats.Sessions["held"] != map[int]int64{0: 1}[i] {
				t.Errorf("server %d: %+v, %+v", i+1, v, v.Stats)
			}
		}
		if st := p.Servers[0].Stats; st.Claims["granted"] != 1 || st.LeaseLeft < 11*time.Second || st.Renewals < 2 || st.Servers["up"] != 3 {
			t.Errorf("server 1 says %+v", st)
		}
		st := b.Stats().Cluster
		if put := st.Directory["put"]; st.Finds["redirect"] != 1 || put.Count() == 0 || st.Silence > 3*time.Second {
			t.Errorf("server 2 says %+v", st)
		}
		if none := look(s.t, b.Server, "?user=bob"); len(none.Sessions) != 0 {
			t.Errorf("bob is at %+v", none.Sessions)
		}
	})
}

// TestProbes: a server that can't act takes no players, and only one that was declared
// dead needs a restart.
func TestProbes(t *testing.T) {
	c, err := cluster.New(cluster.Config{Bus: new(cluster.Memory)})
	if err != nil {
		t.Fatal(err)
	}
	early, err := framework.New(framework.Config{Cluster: c, Secret: session.Secret{1}})
	if err != nil {
		t.Fatal(err)
	}
	if got := probes(early); got != "it has not joined its cluster yet\n| ok" {
		t.Errorf("before Start: %q", got)
	}
	if w := get(early, "/debug/cluster"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("before Start /debug/cluster says %d", w.Code)
	}
	play(t, 2, nil, func(s *stack) {
		a, b := s.servers[0], s.servers[1]
		if got := probes(a.Server); got != "ok\n| ok" {
			t.Errorf("up: %q", got)
		}
		a.line.set(true)
		time.Sleep(16 * time.Second)
		if got, state := probes(a.Server), look(s.t, a.Server, "").State; got != "paused: it can't renew its lease in the cluster\n| ok" || state != "paused" {
			t.Errorf("paused: %q, %s", got, state)
		}
		if st := a.Stats().Cluster; st.Pauses != 1 || st.Paused < time.Second || st.Paused > 7*time.Second || st.LeaseLeft != 0 || st.RenewalsFailed == 0 {
			t.Errorf("paused: %+v", st)
		}
		a.line.set(false)
		time.Sleep(3 * time.Second)
		if got, st := probes(a.Server), a.Stats().Cluster; got != "ok\n| ok" || st.Pauses != 1 || st.LeaseLeft == 0 {
			t.Errorf("back: %q, %+v", got, st)
		}
		a.line.set(true)
		time.Sleep(25 * time.Second)
		a.line.set(false)
		time.Sleep(3 * time.Second)
		const dead = "declared dead by its cluster: restart it"
		if got, state := probes(a.Server), look(s.t, a.Server, "").State; got != dead+"\n| "+dead || state != "declared dead" {
			t.Errorf("declared dead: %q, %s", got, state)
		}
		if st := a.Stats().Cluster; st.Declared != 1 {
			t.Errorf("declared dead: %+v", st)
		}
		if st := b.Stats().Cluster; st.Deaths != 1 || st.Servers["up"] != 1 {
			t.Errorf("the other: %+v", st)
		}
	})
}

// TestOperatorsSeeRooms: every server's page has the rooms of all, and where a user plays.
func TestOperatorsSeeRooms(t *testing.T) {
	playRooms(t, 3, nil, func(rooms *framework.Rooms[*hall]) { rooms.Seats(8) }, func(s *stack, o *house) {
		ann, bob, cid := s.dial(s.servers[0], "ann", ""), s.dial(s.servers[1], "bob", ""), s.dial(s.servers[1], "cid", "")
		s.join(ann, "red")
		s.join(bob, "red")
		s.join(cid, "<b>")
		for _, v := range s.servers {
			p := look(t, v.Server, "?rooms=&user=bob")
			if len(p.Rooms) != 2 || p.MoreRooms {
				t.Fatalf("rooms: %+v", p.Rooms)
			}
			strange, red := p.Rooms[0], p.Rooms[1]
			if red.Type != "hall" || red.Key != "red" || red.Node != 1 || red.Owner != p.Servers[0].Incarnation || red.Gen == 0 || red.Players != 2 || red.Seats != 8 {
				t.Errorf("the room: %+v", red)
			}
			if strange.Key != "<b>" || strange.Node != 2 {
				t.Errorf("the other room: %+v", strange)
			}
			if len(p.Sessions) != 1 || p.Sessions[0].Node != 1 || fmt.Sprint(p.Sessions[0].Rooms) != "[hall/red]" {
				t.Errorf("bob: %+v", p.Sessions)
			}
			if got := fmt.Sprint(p.Servers[0].Players, p.Servers[1].Players, p.Servers[2].Players, p.Servers[0].Rooms, p.Servers[2].Rooms); got != "2 1 0 1 0" {
				t.Errorf("players and rooms: %s", got)
			}
		}
		at := s.servers[2].Server
		if p := look(t, at, "?rooms=hall/r"); len(p.Rooms) != 1 || p.Rooms[0].Key != "red" {
			t.Errorf("those that begin with r: %+v", p.Rooms)
		}
		if p := look(t, at, "?rooms=&limit=1"); len(p.Rooms) != 1 || !p.MoreRooms {
			t.Errorf("at most one: %+v, more: %v", p.Rooms, p.MoreRooms)
		}
		if p := look(t, at, ""); len(p.Rooms) != 0 || p.MoreRooms {
			t.Errorf("not asked for: %+v", p.Rooms)
		}
		if text := get(at, "/debug/cluster?rooms=").Body.String(); strings.Contains(text, "<b>") {
			t.Error("a key is not escaped")
		}
		s.servers[0].line.set(true)
		if p := look(t, at, "?rooms="); len(p.Rooms) != 1 || p.Servers[0].Unreachable == "" {
			t.Errorf("a server does not answer: %+v", p)
		}
		s.servers[0].line.set(false)
	})
}
