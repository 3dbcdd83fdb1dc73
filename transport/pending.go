// SPDX-License-Identifier: MIT

package transport

import (
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/linked"
)

// pendingConn is a connection whose peer has to say something before there is a
// link for the handler: a proxy for whom it speaks, and on a WebSocket every peer
// that it wants one. Owned by the loop.
type pendingConn struct {
	k     *Link
	place linked.Node[*pendingConn] // in Loop.pending
	until time.Duration
	seen  int  // bytes of the request that do not hold its end
	proxy bool // a PROXY header comes first, or on a WebSocket may
}

// addPending puts k among the pending connections. Where they are too many the one that has
// waited longest goes: an attacker that keeps connections open which say nothing can
// fill the list, but a player needs no longer than a round trip.
func (l *Loop) addPending(k *Link, proxy bool) {
	a := &pendingConn{k: k, proxy: proxy, until: l.now + l.t.cfg.openingTimeout()}
	a.place.Value = a
	k.tcp.pending = a
	l.pending.Push(&a.place)
	l.t.pending.Add(1)
	l.timers.schedule(k, a.until)
	if l.pending.Len() > l.t.maxPending {
		l.evictPending()
	}
}

// evictPending closes the connection that has waited longest. It reports whether
// there was one.
func (l *Loop) evictPending() bool {
	first := l.pending.First()
	if first == nil {
		return false
	}
	k := first.Value.k
	l.removePending(k)
	l.stats.evictedPending.Add(1)
	k.Close(errEvictedPending)
	return true
}

// removePending takes k from the pending connections, if it is there.
func (l *Loop) removePending(k *Link) {
	if k.tcp == nil || k.tcp.pending == nil {
		return
	}
	l.pending.Remove(&k.tcp.pending.place)
	k.tcp.pending = nil
	l.t.pending.Add(-1)
}
