// SPDX-License-Identifier: MIT

package client

import "context"

// open dials one way, for as long as it may be silent. conv names a conversation of
// plain KCP.
func open(ctx context.Context, d *dialer, w way, conv uint32, r resumption) (conn, error) {
	wait := d.cfg.dialTimeout()
	if w.silent > 0 {
		wait = min(wait, w.silent)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	switch w.carrier {
	case carrierPlainKCP:
		return d.openKCP(ctx, w.hostport, conv)
	case carrierKCP:
		return d.openSealed(ctx, w.hostport, r)
	case carrierSTCP:
		return d.openSTCP(ctx, w.hostport, r)
	case carrierWS:
		return d.openWS(ctx, w.url)
	}
	return d.openTCP(ctx, "tcp", w.hostport)
}
