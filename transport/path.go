// SPDX-License-Identifier: MIT

package transport

import (
	"net/netip"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
)

// path is where a datagram comes from, and what address of ours it came to: its answer
// takes the same way back.
type path struct {
	addr  netip.AddrPort
	local backend.Local
}
