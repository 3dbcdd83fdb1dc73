// SPDX-License-Identifier: MIT

package framework

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/session"
	"golang.org/x/net/netutil"
)

// Admin returns the pages for whoever operates the server, to be mounted at
// the root of a listener of the game's own; Config.Admin serves them on one.
//
//	GET  /debug/                    the inspector, a page that shows what follows
//	GET  /healthz                   200 while the server lets players in, else 503
//	GET  /debug/stats               JSON: Stats
//	GET  /debug/sessions            JSON: Stats and sessions; ?user= ?state= ?carrier= ?room=type or type/key ?limit= (1,000)
//	GET  /debug/sessions/{id}       JSON: one session
//	POST /debug/sessions/{id}/kick  ends it; ?code= (200, KICKED) ?text=
//	GET  /debug/rooms               JSON: rooms; ?type= ?key= ?limit= (1,000)
//	GET  /debug/pprof/              profiles, for go tool pprof
//
// and whatever AdminPage has added. They show players' addresses and end
// sessions, so everything but /healthz and the inspector, which is empty until
// the rest answers it, is guarded: with Config.AdminToken it takes that as a
// bearer token; without one it answers only loopback addresses that asked for a
// loopback name, and nothing that a proxy has passed on. Requests of other sites'
// pages are refused. Config.Admin serves 64 connections at once; a request has
// 10 s to come.
func (s *Server) Admin() http.Handler {
	s.adminMade.Store(true)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/stats", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Stats()) })
	mux.HandleFunc("GET /debug/sessions", s.serveSessions)
	mux.HandleFunc("GET /debug/sessions/{id}", s.serveSession)
	mux.HandleFunc("POST /debug/sessions/{id}/kick", s.serveKick)
	mux.HandleFunc("GET /debug/rooms", s.serveRooms)
	mux.HandleFunc("GET /debug/pprof/{name...}", serveProfile)
	for _, p := range s.pages {
		mux.Handle(p.pattern, p.handler)
	}
	outer := http.NewServeMux()
	outer.HandleFunc("GET /healthz", s.serveHealth)
	inspector := serveInspector()
	for _, file := range []string{"{$}", "inspector.js", "inspector.css", "icon.svg", "licenses.txt"} {
		outer.Handle("GET /debug/"+file, inspector)
	}
	outer.Handle("/", s.guardAdmin(http.NewCrossOriginProtection().Handler(mux)))
	return outer
}

// page is one more page of the admin handler.
type page struct {
	pattern string
	handler http.Handler
}

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

// guardAdmin lets only operators in.
func (s *Server) guardAdmin(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte("Bearer " + s.cfg.AdminToken))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A page of another site may not even start a profile: it can't read it, but
		// the server pays for it. Browsers tell.
		if from := r.Header.Get("Sec-Fetch-Site"); from != "" && from != "same-origin" && from != "none" {
			s.refuseAdmin(w, r, http.StatusForbidden, "pages of other sites are not answered")
			return
		}
		if s.cfg.AdminToken == "" {
			// The name as well: a page whose name was made to point here must
			// not read this by its visitor's browser.
			if !loopback(r.RemoteAddr) || !loopback(r.Host) {
				s.refuseAdmin(w, r, http.StatusForbidden, "without Config.AdminToken only a loopback address is answered, by that name")
				return
			}
			if proxied(r.Header) { // from anywhere
				s.refuseAdmin(w, r, http.StatusForbidden, "without Config.AdminToken nothing that came by a proxy is answered")
				return
			}
		} else if got := sha256.Sum256([]byte(r.Header.Get("Authorization"))); subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="lifeline"`)
			s.refuseAdmin(w, r, http.StatusUnauthorized, "bearer token required")
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// refuseAdmin counts and logs a request that the guard stops: it may be a guess at the token.
func (s *Server) refuseAdmin(w http.ResponseWriter, r *http.Request, status int, why string) {
	s.count.adminRefused.Add(1)
	if n, ok := s.adminRefusals.Allow(clock()); ok {
		s.log.Warn("admin page refused", "from", r.RemoteAddr, "error", why, "times", n)
	}
	http.Error(w, why, status)
}

// proxied reports whether a request says that a proxy has passed it on.
func proxied(h http.Header) bool {
	for name := range h {
		if name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			return true
		}
	}
	return false
}

// loopback reports whether a host, with or without a port, is this machine.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func (s *Server) serveHealth(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	draining := s.draining
	s.mu.Unlock()
	if draining {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// pageLimit is how many lines a list has unless ?limit= says otherwise.
func pageLimit(r *http.Request) int {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 0 {
		return 1000
	}
	return limit
}

func (s *Server) serveSessions(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	is := func(key, value string) bool { return q.Get(key) == "" || q.Get(key) == value }
	writeJSON(w, struct {
		Stats    Stats  `json:"stats"`
		Sessions []Info `json:"sessions"`
	}{s.Stats(), s.Inspect(pageLimit(r), func(in *Info) bool {
		kind, _, _ := strings.Cut(in.Room, "/")
		return is("user", in.User) && is("state", in.State) && is("carrier", in.Carrier) && (is("room", in.Room) || is("room", kind))
	})})
}

// player finds the player of a path, and answers if there is none.
func (s *Server) player(w http.ResponseWriter, r *http.Request) *Player {
	id, err := session.ParseID(r.PathValue("id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil
	}
	p := s.Player(id)
	if p == nil {
		http.Error(w, "no such session", http.StatusNotFound)
	}
	return p
}

func (s *Server) serveSession(w http.ResponseWriter, r *http.Request) {
	p := s.player(w, r)
	if p == nil {
		return
	}
	found := s.inspect([]*Player{p}, 1, func(*Info) bool { return true })
	if len(found) == 0 {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	writeJSON(w, found[0])
}

func (s *Server) serveKick(w http.ResponseWriter, r *http.Request) {
	p := s.player(w, r)
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
	s.log.Info("kicked by an operator", "session", p.ID(), "user", p.label(), "code", code, "from", r.RemoteAddr)
	p.Kick(code, r.URL.Query().Get("text"))
	w.WriteHeader(http.StatusAccepted)
}

func (s *Server) serveRooms(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	writeJSON(w, struct {
		Rooms []RoomInfo `json:"rooms"`
	}{s.InspectRooms(pageLimit(r), func(in *RoomInfo) bool {
		return (q.Get("type") == "" || q.Get("type") == in.Type) && (q.Get("key") == "" || q.Get("key") == in.Key)
	})})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the client may have gone
}

// listenAdmin returns what Config.Admin is served on, nil if it is not.
func (s *Server) listenAdmin() (net.Listener, error) {
	if s.cfg.Admin == "" {
		return nil, nil
	}
	ln, err := net.Listen("tcp", s.cfg.Admin)
	if err != nil {
		return nil, fmt.Errorf("framework: Admin: %w", err)
	}
	return ln, nil
}

// serveAdmin serves the admin pages.
func (s *Server) serveAdmin(ln net.Listener) {
	if ln == nil {
		return
	}
	s.admin = &http.Server{
		Handler:           boundBody(s.Admin()),
		ReadHeaderTimeout: adminPatience,
		IdleTimeout:       adminPatience,
		MaxHeaderBytes:    16 << 10,
	}
	s.adminAddr = ln.Addr().(*net.TCPAddr).AddrPort()
	go func() { _ = s.admin.Serve(netutil.LimitListener(ln, adminConns)) }() // ends with Shutdown, which closes it
}

// AdminAddr returns the address that Config.Admin is served on, the zero one
// before Start or if it is not.
func (s *Server) AdminAddr() netip.AddrPort { return s.adminAddr }

const (
	// adminConns is how many connections the admin pages have at once. Others wait
	// in the kernel, where they take no file from players.
	adminConns = 64
	// adminPatience is how long a request may take to come, and a connection be idle.
	adminPatience = 10 * time.Second
	// adminBody bounds the body of a request, in bytes.
	adminBody = 1 << 20
)

// boundBody bounds the body of a request in size and time. http.Server.ReadTimeout
// would do so as well, but it also ends the context of a profile that runs for
// minutes.
func boundBody(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(clock().Add(adminPatience))
			r.Body = http.MaxBytesReader(w, r.Body, adminBody)
		}
		h.ServeHTTP(w, r)
	})
}
