// SPDX-License-Identifier: MIT

package framework

import "log/slog"

// Hooks are the hooks of Config once more, for what is built on a server beside the game:
// matchmaking, presence. Each may be nil.
type Hooks struct {
	OnOpen     func(p *Player)
	OnDetach   func(p *Player)
	OnResume   func(p *Player)
	OnSnapshot func(p *Player)
	OnClose    func(p *Player, why Reason)

	// Part is the name under which what Pack returns goes with a player to another server,
	// where Unpack is given it: as Config.Pack and Unpack, and before them. If empty, these
	// two are not called.
	Part   string
	Pack   func(p *Player) []byte
	Unpack func(p *Player, state []byte)
}

// AddHooks makes these run before those that were there, OnClose after them: where those
// of Config do, and like them one after the other for each player. To be called before
// Start.
func (s *Server) AddHooks(h Hooks) {
	s.mustBeRegistering("AddHooks")
	if h.Part != "" {
		s.hooks = append(s.hooks, h)
	}
	c := &s.cfg
	c.OnOpen, c.OnDetach = both(h.OnOpen, c.OnOpen), both(h.OnDetach, c.OnDetach)
	c.OnResume, c.OnSnapshot = both(h.OnResume, c.OnResume), both(h.OnSnapshot, c.OnSnapshot)
	if first, then := c.OnClose, h.OnClose; first == nil {
		c.OnClose = then
	} else if then != nil {
		c.OnClose = func(p *Player, why Reason) {
			defer then(p, why) // if first panics, too
			first(p, why)
		}
	}
}

func both(first, then func(*Player)) func(*Player) {
	switch {
	case first == nil:
		return then
	case then == nil:
		return first
	}
	return func(p *Player) {
		defer then(p) // if first panics, too
		first(p)
	}
}

// Panicked tells of a panic of the game's code that serves no player, as Config.OnPanic does:
// it is counted and logged. in says what was called. To be called while it unwinds.
func (s *Server) Panicked(in string, v any) { s.panicked(nil, in, v) }

// PanickedThen is Panicked for a caller that holds a lock, which Config.OnPanic might want:
// then calls that, and is to be called once the lock is released.
func (s *Server) PanickedThen(in string, v any) (then func()) {
	s.notePanic(in, v)
	return func() { s.tellPanic(nil, in, v) }
}

// AddStats makes the numbers of a part, as "match.ranked", appear in Stats and metrics.
// read is called for each Stats, on any goroutine; if it panics, the part is left out. To be
// called before Start; a second part of the same name panics.
func (s *Server) AddStats(part string, read func() PartStats) {
	s.mustBeRegistering("AddStats of " + part)
	if s.parts[part] != nil {
		panic("framework: part " + part + " has stats already")
	}
	if s.parts == nil {
		s.parts = map[string]func() PartStats{}
	}
	s.parts[part] = read
}

// Logger returns Config.Logger.
func (s *Server) Logger() *slog.Logger { return s.log }
