// SPDX-License-Identifier: MIT

package gen

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/framework"
)

// The name of the route by which clients see which messages a server has, and the
// most that a client may send on it.
const (
	schemaRoute = "schema."
	maxText     = 60 << 10
)

func isSchemaRoute(name string) bool {
	digits, ok := strings.CutPrefix(name, schemaRoute)
	return ok && len(digits) == 16 && strings.Trim(digits, "0123456789abcdef") == ""
}

// maxVersions bounds how many other versions of clients are told of in the log,
// each once: a client may make one up.
const maxVersions = 64

// announcement answers clients whose messages are not the server's.
type announcement struct {
	schema *schema
	log    *slog.Logger

	mu    sync.Mutex
	known map[string][]string // by the hash of a text: what does not fit
}

// Announce tells clients at login which messages srv has, so that one that was
// generated from others is told by name what does not fit, and log, or
// slog.Default if that is nil, is warned once for each such version. Call it after
// all routes are registered and before the server starts; Check fails if it was
// not. The enums are those that Check gets. It panics where Check would fail: at a
// type that can't be sent.
func Announce(srv *framework.Server, log *slog.Logger, enums ...EnumValues) {
	s, err := schemaOf(srv, enums)
	if err != nil {
		panic("gen: " + err.Error())
	}
	if log == nil {
		log = slog.Default()
	}
	a := &announcement{schema: s, log: log, known: map[string][]string{}}
	framework.OnRequest(srv, schemaRoute+hash(s.text()), a.compare).Max(maxText)
}

// compare is asked by a client with other messages.
func (a *announcement) compare(p *framework.Player, text string) ([]string, error) {
	version := hash(text)
	a.mu.Lock()
	problems, known := a.known[version]
	a.mu.Unlock()
	if known {
		return problems, nil
	}
	theirs, err := parse(text)
	if err != nil {
		return nil, codec.BadRequest(fmt.Errorf("no text of messages: %w", err))
	}
	problems = []string{}
	for _, d := range compare(theirs, a.schema, false) {
		problems = append(problems, d.forLogin())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.known[version]; !known && len(a.known) < maxVersions {
		a.known[version] = problems
		if len(problems) > 0 {
			a.log.Warn("a client's messages are not this server's", "session", p.ID(), "user", fmt.Sprintf("%.64s", p.User()), "messages", version, "problems", problems)
		}
	}
	return problems, nil
}

// checkAnnounced fails if Announce was called and saw other routes than there are.
func checkAnnounced(t T, srv *framework.Server, now *schema) {
	t.Helper()
	for _, r := range srv.Routes() {
		if isSchemaRoute(r.Name()) && r.Name() != schemaRoute+hash(now.text()) {
			t.Errorf("messages: Announce was called before all routes were registered, or with other enums: call it last")
		}
	}
}
