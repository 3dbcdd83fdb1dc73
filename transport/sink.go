// SPDX-License-Identifier: MIT

package transport

import (
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
)

// sink is a Loop as what runs it sees it: backend.Sink.
type sink Loop

func (s *sink) loop() *Loop { return (*Loop)(s) }

func (s *sink) Index() int                  { return s.index }
func (s *sink) Queue() backend.Queue        { return &s.queue }
func (s *sink) Counters() *backend.Counters { return &s.stats.Counters }
func (s *sink) Depth() int                  { return s.depth }
func (s *sink) Now() time.Duration          { return s.now }
func (s *sink) Begin()                      { s.loop().begin() }
func (s *sink) End()                        { s.loop().end() }
func (s *sink) Refresh()                    { s.loop().refresh() }
func (s *sink) Ended() bool                 { return s.loop().ended() }
func (s *sink) Refuse(listener int)         { s.t.admission.refuse(Carrier(listener)) }

// Boot runs once, before anything else on the loop.
func (s *sink) Boot(d backend.Driver) {
	s.below = d
	s.loop().boot()
}

func (s *sink) Open(listener int, c backend.Stream, from netip.AddrPort) backend.Link {
	l := s.loop()
	if k := l.openStream(Carrier(listener), c, from); k != nil {
		return k
	}
	return nil
}

func (s *sink) Evict() bool {
	l := s.loop()
	l.begin()
	defer l.end()
	return l.evictPending()
}

func (s *sink) Received(in *backend.Inbox) {
	s.datagrams[in.Listener].receive(in)
	s.lateness.received(s.now, Carrier(in.Listener), !in.More)
}
