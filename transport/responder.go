// SPDX-License-Identifier: MIT

package transport

import (
	"fmt"

	"github.com/lifeline-go/lifeline/transport/seal"
)

// What the sealed carriers have in common: keys, and what answers handshakes.

// readKeys finds the key pairs that all loops have.
func (s *shared) readKeys() (err error) {
	if s.keys == nil {
		s.keys, err = s.cfg.serverKeys(s.log)
	}
	return err
}

// newResponder makes what answers the handshakes of a carrier on this loop.
func (l *Loop) newResponder(ids seal.IDs) (*seal.Responder, error) {
	cfg := &l.t.cfg
	r, err := seal.NewResponder(seal.Config{
		Keys:         l.t.keys,
		ResumeSecret: cfg.ResumeSecret,
		Greeting:     cfg.Greeting,
		IDs:          ids,
		AlwaysCookie: cfg.AlwaysCookie,
		CookieRate:   cfg.CookieRate,
		AddressRate:  cfg.opensPerAddress(),
		Exempt:       l.t.admission.addrs.exempt,
		Over:         l.t.over.has,
	})
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	l.responders = append(l.responders, r)
	return r, nil
}

// publishHandshakes shows what the loop's responders have counted.
func (l *Loop) publishHandshakes() {
	if len(l.responders) == 0 {
		return
	}
	sum := l.responders[0].Counts()
	for _, r := range l.responders[1:] {
		sum.Add(r.Counts())
	}
	l.stats.handshakes.publish(sum)
}

// ResumeKey returns what opens further sealed links of a session without
// public-key cryptography: Config.ResumeSecret. Only a sealed link may carry it
// to the client. It is zero where there are none.
func (l *Loop) ResumeKey(session [16]byte) (key [32]byte) {
	if len(l.responders) > 0 {
		key = l.responders[0].ResumeKey(session)
	}
	return key
}

// EndKey says that a session is over: its ResumeKey opens no more links, on any
// loop. The latest 65,536 of them are remembered. Safe to call from any goroutine.
func (l *Loop) EndKey(session [16]byte) {
	if len(l.responders) > 0 {
		l.t.over.add(session)
	}
}
