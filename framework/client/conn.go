// SPDX-License-Identifier: MIT

package client

import "time"

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

// chunk is how much is handed to a socket at once: what a heartbeat waits for.
const chunk = 16 << 10
