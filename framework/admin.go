// SPDX-License-Identifier: MIT

package framework

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"

	"github.com/lifeline-go/lifeline/framework/internal/admin"
	"github.com/lifeline-go/lifeline/session"
)

// Admin returns the pages for the operators of the server, to be mounted at
// the root of a listener of the game's own; Config.Admin serves them on one.
//
//	GET  /debug/                    the inspector, a page that shows what follows
//	GET  /healthz                   200 while the server lets players in, else 503: for readiness
//	GET  /livez                     200 while a restart would not help, else 503: for liveness
//	GET  /debug/stats               JSON: Stats
//	GET  /debug/sessions            JSON: Stats and sessions; ?user= ?state= ?carrier= ?room=type or type/key ?limit= (1,000)
//	GET  /debug/sessions/{id}       JSON: one session
//	POST /debug/sessions/{id}/kick  ends it; ?code= (200, KICKED) ?text=
//	GET  /debug/rooms               JSON: rooms; ?type= ?key= ?limit= (1,000)
//	POST /debug/rooms/hand-over     gives one to another server of the cluster: Room.HandOver; ?type= ?key=
//	GET  /debug/cluster             JSON, with Config.Cluster: its servers, and what this one does in it; ?user= where a user is and which rooms it is in, ?room= where a room is, as type/key, ?rooms= the rooms of all servers, whose type/key begins so; ?limit= (1,000, and no more)
//	GET  /debug/playground.html     a client in the page: log in, join, send JSON, cut the link
//	GET  /debug/play/routes         JSON: what it may send, and where; it encodes and decodes by POST
//	GET  /debug/pprof/              profiles, for go tool pprof
//
// and whatever AdminPage has added. They show players' addresses and end
// sessions, so everything but /healthz, /livez, the inspector and the playground, which
// are empty until the rest answers them, is guarded: with Config.AdminToken it takes that as a
// bearer token; without one it answers only loopback addresses that asked for a
// loopback name, and nothing that a proxy has passed on. Requests of other sites'
// pages are refused. Config.Admin serves 64 connections at once; a request has
// 10 s to come, and so has each 16 KiB of an answer to be read.
func (s *Server) Admin() http.Handler {
	s.adminMade.Store(true)
	a := adminPages{s}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/stats", a.stats)
	mux.HandleFunc("GET /debug/sessions", a.sessions)
	mux.HandleFunc("GET /debug/sessions/{id}", a.session)
	mux.HandleFunc("POST /debug/sessions/{id}/kick", a.kick)
	mux.HandleFunc("GET /debug/rooms", a.rooms)
	mux.HandleFunc("POST /debug/rooms/hand-over", a.handOver)
	if s.cfg.Cluster != nil {
		mux.Handle("GET /debug/cluster", s.cfg.Cluster.Page())
	}
	mux.HandleFunc("GET /debug/play/routes", a.playground)
	mux.HandleFunc("POST /debug/play/encode", a.encode)
	mux.HandleFunc("POST /debug/play/decode", a.decode)
	for _, p := range s.pages {
		mux.Handle(p.pattern, p.handler)
	}
	return admin.Handler(s.cfg.AdminToken, mux, admin.Probes{Ready: a.ready, Live: a.live}, a.refused)
}

// adminPages are the pages that show the server: package admin has the others.
type adminPages struct{ srv *Server }

// AdminPage adds a page to what Admin returns, under the same guard: metrics,
// or a page of the game's. The pattern is http.ServeMux's. Call it before Start
// and Admin: later, and without a handler, it panics.
func (s *Server) AdminPage(pattern string, h http.Handler) {
	s.mustBeRegistering("AdminPage " + pattern)
	switch {
	case s.adminMade.Load():
		panic("framework: AdminPage " + pattern + " after Admin, which has made its pages")
	case h == nil:
		panic("framework: AdminPage " + pattern + ": the handler is nil")
	}
	s.pages = append(s.pages, page{pattern, h})
}

func (a adminPages) stats(w http.ResponseWriter, _ *http.Request) { admin.WriteJSON(w, a.srv.Stats()) }

// ready reports whether the server lets players in.
func (a adminPages) ready() error {
	a.srv.mu.Lock()
	draining := a.srv.draining
	a.srv.mu.Unlock()
	switch {
	case draining:
		return errors.New("draining")
	case a.srv.mayLetIn():
		return nil
	}
	if err := a.live(); err != nil {
		return err
	}
	if a.srv.cfg.Cluster.Stats().Renewals == 0 {
		return errors.New("it has not joined its cluster yet")
	}
	if a.srv.mayAct() {
		return errors.New("isolated: it can't renew its lease in the cluster, and serves only players who are connected")
	}
	return errors.New("paused: it can't renew its lease in the cluster")
}

// live reports whether the server can still do its work. A drain or a pause passes by
// itself; a server that was declared dead is of no use any more.
func (a adminPages) live() error {
	if c := a.srv.cfg.Cluster; c != nil && c.Stats().Declared != 0 {
		return errors.New("declared dead by its cluster: restart it")
	}
	return nil
}

// refused counts and logs a request that the guard stops: it may be a guess at the token.
func (a adminPages) refused(r *http.Request, why string) {
	a.srv.count.adminRefused.Add(1)
	if n, ok := a.srv.adminRefusals.Allow(clock()); ok {
		a.srv.log.Warn("admin page refused", "from", r.RemoteAddr, "error", why, "times", n)
	}
}

// pageLimit is how many lines a list has unless ?limit= says otherwise.
func pageLimit(r *http.Request) int {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 0 {
		return 1000
	}
	return limit
}

func (a adminPages) sessions(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	is := func(key, value string) bool { return q.Get(key) == "" || q.Get(key) == value }
	admin.WriteJSON(w, struct {
		Stats    Stats  `json:"stats"`
		Sessions []Info `json:"sessions"`
	}{a.srv.Stats(), a.srv.Inspect(pageLimit(r), func(in *Info) bool {
		return is("user", in.User) && is("state", in.State) && is("carrier", in.Carrier) && (q.Get("room") == "" || in.isIn(q.Get("room")))
	})})
}

// player finds the player of a path, and answers if there is none.
func (a adminPages) player(w http.ResponseWriter, r *http.Request) *Player {
	id, err := session.ParseID(r.PathValue("id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil
	}
	p := a.srv.Player(id)
	if p == nil {
		http.Error(w, "no such session", http.StatusNotFound)
	}
	return p
}

func (a adminPages) session(w http.ResponseWriter, r *http.Request) {
	p := a.player(w, r)
	if p == nil {
		return
	}
	found := a.srv.inspect([]*Player{p}, 1, func(*Info) bool { return true })
	if len(found) == 0 {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	admin.WriteJSON(w, found[0])
}

func (a adminPages) kick(w http.ResponseWriter, r *http.Request) {
	p := a.player(w, r)
	if p == nil {
		return
	}
	code := session.Kicked
	if q := r.URL.Query().Get("code"); q != "" {
		n, err := strconv.ParseUint(q, 10, 32)
		if err != nil || !session.Code(n).Ends() {
			http.Error(w, "no session ends with that code: want one of session/SPEC.md 9 from 100 on, or the game's own from 1,000 on", http.StatusBadRequest)
			return
		}
		code = session.Code(n)
	}
	a.srv.log.Info("kicked by an operator", "session", p.ID(), "user", p.label(), "code", code, "from", r.RemoteAddr)
	p.Kick(code, r.URL.Query().Get("text"))
	w.WriteHeader(http.StatusAccepted)
}

func (a adminPages) rooms(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	admin.WriteJSON(w, struct {
		Rooms []RoomInfo `json:"rooms"`
	}{a.srv.InspectRooms(pageLimit(r), func(in *RoomInfo) bool {
		return (q.Get("type") == "" || q.Get("type") == in.Type) && (q.Get("key") == "" || q.Get("key") == in.Key)
	})})
}

// handOver gives a room to another server, which the operator wants.
func (a adminPages) handOver(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	room := clusterHost{s: a.srv}.open(q.Get("type"), q.Get("key"))
	if room == nil {
		http.Error(w, "no such room is open at this server", http.StatusNotFound)
		return
	}
	room.kind.mu.Unlock()
	if err := room.HandOver(); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	a.srv.log.Info("handed over by an operator", "room", room.name(), "from", r.RemoteAddr)
	w.WriteHeader(http.StatusAccepted)
}

// listenAdmin binds the address that the pages are served on, nil if they are not.
func (s *Server) listenAdmin() (*admin.Server, error) {
	if s.cfg.Admin == "" {
		return nil, nil
	}
	a, err := admin.Listen(s.cfg.Admin, clock)
	if err != nil {
		return nil, fmt.Errorf("framework: Admin: %w", err)
	}
	return a, nil
}

// AdminAddr returns the address that Config.Admin is served on, the zero one
// before Start or if it is not.
func (s *Server) AdminAddr() netip.AddrPort {
	if s.admin == nil {
		return netip.AddrPort{}
	}
	return s.admin.Addr()
}
