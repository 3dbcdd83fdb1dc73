// SPDX-License-Identifier: MIT

// Package admin has what of the admin pages needs no game server: the guard, the
// listener and its bounds, the profiles, and the inspector.
package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/netutil"
)

// Probes are what an orchestrator asks. Each returns why the answer is no.
type Probes struct {
	Ready func() error // /healthz: whether players may be sent here
	Live  func() error // /livez: whether the process is of use, or needs a restart
}

// Handler returns guarded behind the guard, with the profiles, and before it what
// every client may see: the inspector and the probes. refused is told of each request
// that the guard stops.
func Handler(token string, guarded *http.ServeMux, probes Probes, refused func(r *http.Request, why string)) http.Handler {
	guarded.HandleFunc("GET /debug/pprof/{name...}", serveProfile)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", serveProbe(probes.Ready))
	mux.HandleFunc("GET /livez", serveProbe(probes.Live))
	inspector := serveInspector()
	for _, file := range []string{"{$}", "inspector.js", "inspector.css", "playground.html", "playground.js", "playground.css", "icon.svg", "licenses.txt"} {
		mux.Handle("GET /debug/"+file, inspector)
	}
	mux.Handle("/", guard(token, refused, http.NewCrossOriginProtection().Handler(guarded)))
	return mux
}

// serveProbe answers 200, or 503 and why.
func serveProbe(ask func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := ask(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	}
}

// WriteJSON answers with v.
func WriteJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the client may have gone
}

// guard lets only operators in.
func guard(token string, refused func(r *http.Request, why string), next http.Handler) http.Handler {
	refuse := func(w http.ResponseWriter, r *http.Request, status int, why string) {
		refused(r, why)
		http.Error(w, why, status)
	}
	want := sha256.Sum256([]byte("Bearer " + token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A page of another site may not even start a profile: it can't read it, but
		// the server pays for it. Browsers tell.
		if from := r.Header.Get("Sec-Fetch-Site"); from != "" && from != "same-origin" && from != "none" {
			refuse(w, r, http.StatusForbidden, "pages of other sites are not answered")
			return
		}
		if token == "" {
			// The name as well: a page whose name was made to point here must
			// not read this by its visitor's browser.
			if !Loopback(r.RemoteAddr) || !Loopback(r.Host) {
				refuse(w, r, http.StatusForbidden, "without Config.AdminToken only a loopback address is answered, by that name")
				return
			}
			if proxied(r.Header) { // from anywhere
				refuse(w, r, http.StatusForbidden, "without Config.AdminToken nothing that came by a proxy is answered")
				return
			}
		} else if got := sha256.Sum256([]byte(r.Header.Get("Authorization"))); subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="lifeline"`)
			refuse(w, r, http.StatusUnauthorized, "bearer token required")
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
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

// Loopback reports whether a host, with or without a port, is this machine.
func Loopback(host string) bool {
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

// Server serves pages on an address of its own.
type Server struct {
	http http.Server
	ln   net.Listener
	now  func() time.Time
}

// Listen binds an address. now is the clock.
func Listen(address string, now func() time.Time) (*Server, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return on(ln, now), nil
}

func on(ln net.Listener, now func() time.Time) *Server {
	return &Server{
		http: http.Server{ReadHeaderTimeout: patience, IdleTimeout: patience, MaxHeaderBytes: 16 << 10},
		ln:   ln, now: now,
	}
}

// Addr is the address that was bound.
func (s *Server) Addr() netip.AddrPort { return s.ln.Addr().(*net.TCPAddr).AddrPort() }

// Serve serves the pages until Close.
func (s *Server) Serve(pages http.Handler) {
	s.http.Handler = boundBody(pages, s.now)
	go func() { _ = s.http.Serve(readers{netutil.LimitListener(s.ln, maxConns), s.now}) }() // ends with Close
}

// readers is a listener whose connections end when their client does not read. http.Server.WriteTimeout
// would do so as well, but it also ends a profile that runs for minutes.
type readers struct {
	net.Listener
	now func() time.Time
}

func (l readers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return reader{c, l.now}, nil
}

type reader struct {
	net.Conn
	now func() time.Time
}

// Write gives each piece its time, so that a large answer may go over a slow line.
func (c reader) Write(b []byte) (n int, err error) {
	for len(b) > n && err == nil {
		_ = c.SetWriteDeadline(c.now().Add(patience))
		var m int
		m, err = c.Conn.Write(b[n:min(n+maxPiece, len(b))])
		n += m
	}
	return n, err
}

// Close ends the listener and all connections.
func (s *Server) Close() {
	_ = s.ln.Close() // if it has yet to serve
	_ = s.http.Close()
}

const (
	// maxConns is how many connections the admin pages have at once. Others wait
	// in the kernel, where they take no file from players.
	maxConns = 64
	// patience is how long a request may take to come, a piece of an answer to be read, and a
	// connection be idle.
	patience = 10 * time.Second
	// maxPiece is how much of an answer has to be read in that time, in bytes.
	maxPiece = 16 << 10
	// maxBody bounds the body of a request, in bytes.
	maxBody = 1 << 20
)

// boundBody bounds the body of a request in size and time. http.Server.ReadTimeout
// would do so as well, but it also ends the context of a profile that runs for
// minutes.
func boundBody(h http.Handler, now func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(now().Add(patience))
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		h.ServeHTTP(w, r)
	})
}
