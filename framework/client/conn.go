// SPDX-License-Identifier: MIT

package client

import (
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// conn is one carrier connection. Read and Write block, each called by one
// goroutine; the rest may be called from any.
type conn interface {
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	// lastIn returns when anything last arrived that Read need not show, as an
	// acknowledgement of KCP's own. It says that the path lives, not the server.
	lastIn() time.Duration
	// part writes the last words and waits until the peer has them, or until
	// close.
	part(b []byte)
	// cut makes the connection silent and ends Read and Write. It reports
	// whether close would be heard by the peer.
	cut() (audible bool)
	close()
}

// silent are connections that were cut and stay open, so that no server hears of their
// end before it must have missed them. Oldest first; guarded by Client.mu.
type silent []silentConn

// silentConn is one of them, and when it is closed.
type silentConn struct {
	conn  conn
	until time.Duration
}

// maxSilent bounds them.
const maxSilent = 4

func (s *silent) add(c conn, until time.Duration) {
	if len(*s) == maxSilent {
		s.drop()
	}
	*s = append(*s, silentConn{c, until})
}

// drop closes the oldest.
func (s *silent) drop() {
	(*s)[0].conn.close()
	*s = (*s)[1:]
}

// expire closes those whose time is over by now.
func (s *silent) expire(now time.Duration) {
	for s.due() <= now {
		s.drop()
	}
}

// due is when the oldest is to be closed.
func (s *silent) due() time.Duration {
	if len(*s) == 0 {
		return session.Never
	}
	return (*s)[0].until
}

// chunk is how much is handed to a socket at once: what a heartbeat waits for.
const chunk = 16 << 10
