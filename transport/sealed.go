// SPDX-License-Identifier: MIT

package transport

import "net/netip"

// sealedDatagram takes one datagram of the sealed socket. There are no sealed
// links yet, so each is for none.
func (l *Loop) sealedDatagram(netip.AddrPort, []byte) { l.stats.unknown.Add(1) }
