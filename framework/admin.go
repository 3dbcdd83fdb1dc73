// SPDX-License-Identifier: MIT

package framework

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/lifeline-go/lifeline/session"
	"github.com/lifeline-go/lifeline/transport"
)

// Admin returns the pages for whoever operates the server. They show players'
// addresses: mount them where only operators reach them.
//
//	/healthz         200 while the server lets players in, else 503
//	/debug/sessions  JSON: counters and sessions; ?user=, ?state=, ?limit= (1,000)
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		draining := s.draining
		s.mu.Unlock()
		if draining {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /debug/sessions", s.serveSessions)
	return mux
}

func (s *Server) serveSessions(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit < 0 {
		limit = 1000
	}
	page := struct {
		Stats    Stats  `json:"stats"`
		Sessions []Info `json:"sessions"`
	}{s.Stats(), s.Inspect(limit, func(in *Info) bool {
		return (q.Get("user") == "" || q.Get("user") == in.User) && (q.Get("state") == "" || q.Get("state") == in.State)
	})}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(page) // the client may have gone
}

// Inspect returns at most limit players for which keep returns true. It asks
// every loop in turn and must not be called on one.
func (s *Server) Inspect(limit int, keep func(*Info) bool) []Info {
	players := s.players()
	all := []Info{}
	s.mu.Lock()
	loops := slices.Clone(s.loops)
	s.mu.Unlock()
	for _, l := range loops {
		done := make(chan struct{})
		err := l.t.Post(onLoop(func() {
			defer close(done)
			for i, p := range players {
				if len(all) >= limit {
					return
				}
				if p == nil || p.owner.Load() != l || p.s.State() == session.Closed {
					continue
				}
				players[i] = nil // it may move on, and is seen once
				if in := p.infoOnLoop(l.t.Now()); keep(&in) {
					all = append(all, in)
				}
			}
		}))
		if err == nil {
			<-done
		}
	}
	return all
}

// onLoop is a function as a task.
type onLoop func()

// Run implements transport.Task.
func (f onLoop) Run(*transport.Loop) { f() }
