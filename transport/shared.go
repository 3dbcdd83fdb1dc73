// SPDX-License-Identifier: MIT

package transport

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/lifeline-go/lifeline/transport/seal"
)

// shared is what the loops of a Transport share. Immutable once they run, except for
// what is safe to use from any goroutine.
type shared struct {
	cfg   Config
	log   *slog.Logger
	start time.Time
	keys  []seal.Key // of sealed KCP; clients are told the public half of the first
	loops []*Loop

	maxPending     int // connections on one loop that are no links yet
	maxUnvalidated int // plain-KCP links on one loop whose addresses are not validated

	pending   atomic.Int64 // connections that are no links yet
	admission admission
	pages     teller // of pages whose origin is refused
	over      overKeys
	tls       tlsShared
}

// now is the time since Start.
func (s *shared) now() time.Duration { return since(s.start) }
