// SPDX-License-Identifier: MIT

package framework

import (
	"errors"
	"fmt"

	"github.com/lifeline-go/lifeline/codec"
)

// RouteRefused tells a client of a message that came to nothing: [route, code, text].
// See Config.Strict.
const RouteRefused = "message.refused"

// refusedNews is what RouteRefused tells. The code is that of a FAILURE.
type refusedNews struct {
	Route string
	Code  codec.ErrorCode
	Text  string
}

// tellRefused tells the client of a one-way message that came to nothing, if the server
// is strict.
func (p *Player) tellRefused(route string, err error) {
	if !p.srv.cfg.Strict {
		return
	}
	var e *codec.Error
	if !errors.As(err, &e) {
		e = &codec.Error{Code: codec.ErrorInternal, Text: "internal error"}
	}
	_ = p.Push(RouteRefused, &refusedNews{short(route), e.Code, short(e.Text)})
}

// checkSent refuses to send on a route that was not declared, if the server is strict:
// its name may be misspelt.
func (s *Server) checkSent(l *outgoing, route string) error {
	if !s.cfg.Strict || l.to != nil {
		return nil
	}
	err := fmt.Errorf("framework: route %q is sent on and not declared: name it in Server.Sends, or is it misspelt?", route)
	if n, ok := s.undeclared.Allow(clock()); ok {
		s.log.Error("a message is not sent", "route", route, "times", n, "error", err)
	}
	return err
}
