// SPDX-License-Identifier: MIT

package transport

import (
	"errors"
	"net/netip"
	"time"

	"github.com/lifeline-go/lifeline/transport/internal/backend"
	"github.com/lifeline-go/lifeline/transport/internal/linked"
)

var (
	errOpeningTimeout = errors.New("transport: opening timeout")
	errEvictedPending = errors.New("transport: too many connections without a link")
	errTooManyLinks   = errors.New("transport: too many links")
)

// pendingConn is a connection whose peer has to say something before there is a
// link for the handler: a proxy which player it speaks for, and on a WebSocket every peer
// that it wants one. Owned by the loop.
type pendingConn struct {
	k      *streamLink
	place  linked.Node[*pendingConn] // in Loop.pending
	until  time.Duration
	seen   int        // bytes of the request that do not hold its end
	late   bool       // until was put off
	proxy  bool       // a PROXY header comes first, or on a WebSocket may
	answer []byte     // of a WebSocket, until there is room for the link
	paid   netip.Addr // the address that was charged for opening the link
}

// waits reports whether the link has not opened, and still may.
func (k *streamLink) waits() bool { return k.pending != nil && k.state&stateFinishing == 0 }

// addPending puts k among the pending connections. Where they are too many the one that has
// waited longest goes: an attacker that keeps connections open which say nothing can
// fill the list, but a player needs no longer than a round trip.
func (k *streamLink) addPending(proxy bool) {
	l := k.loop
	a := &pendingConn{k: k, proxy: proxy, until: l.now + l.t.cfg.openingTimeout()}
	a.place.Value = a
	k.pending = a
	l.pending.Push(&a.place)
	l.t.pending.Add(1)
	l.timers.schedule(&k.Link, a.until)
	if l.pending.Len() > l.t.maxPending {
		l.evictPending()
	}
}

// excuse puts the end of the connection's time off, once, if the loop is late: what the
// peer has said may be in the kernel still, and what it was told on its way.
func (a *pendingConn) excuse() bool {
	l := a.k.loop
	if a.late || l.Lateness() == 0 {
		return false
	}
	a.late, a.until = true, l.now+l.t.cfg.openingTimeout()
	l.timers.schedule(&a.k.Link, a.until)
	return true
}

// evictPending closes the connection that has waited longest. It reports whether
// there was one.
func (l *Loop) evictPending() bool {
	first := l.pending.First()
	if first == nil {
		return false
	}
	k := first.Value.k
	k.removePending()
	l.stats.evictedPending.Add(1)
	k.Close(errEvictedPending)
	return true
}

// removePending takes k from the pending connections, if it is there.
func (k *streamLink) removePending() {
	if k.pending == nil {
		return
	}
	k.loop.pending.Remove(&k.pending.place)
	k.pending = nil
	k.loop.t.pending.Add(-1)
}

// open takes what a new peer says. It reports whether that opened the link.
func (k *streamLink) open(c streamConn, in backend.Inbound) bool {
	if k.left == 0 || k.pending.proxy && !k.proxied(in, c.proxyMay()) {
		return false
	}
	if !c.request(in) {
		return false
	}
	l := k.loop
	from := k.addr.Addr()
	if !l.t.admission.acquire(k.carrier, from, l.now, k.pending.paid == from) {
		c.refuse(in)
		return false
	}
	g := c.grant(in)
	k.removePending()
	if g.err != nil {
		k.Close(g.err)
	} else if g.answer != nil {
		k.writeNow(g.answer)
	}
	if k.state&stateClosed != 0 {
		l.t.admission.release(k.carrier, k.addr.Addr(), true)
		return false
	}
	k.opened(g.nonce)
	return true
}

// proxied takes the PROXY header of a connection from a trusted address. may says that
// there may be none. It reports whether it is past that.
func (k *streamLink) proxied(in backend.Inbound, may bool) bool {
	b, err := in.Peek(min(k.left, maxProxyHeader))
	if err != nil {
		k.Close(err)
		return false
	}
	from, size, err := parseProxy(b)
	switch {
	case errors.Is(err, errNoProxy) && may:
		// A proxy that reads HTTP. The same connection can't be both: what
		// follows is its own request.
	case err != nil:
		k.loop.stats.proxies.Add(1)
		k.Close(err)
		return false
	case size == 0:
		return false
	case from.IsValid():
		k.addr = from
	}
	k.take(in, size)
	k.pending.proxy = false
	return true
}
