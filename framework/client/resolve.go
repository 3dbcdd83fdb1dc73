// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A name may have several addresses, of which some lead nowhere: an IPv6 that
// does not work here, a machine that is down. They are tried as RFC 8305 says:
// by turns of both families, each a moment after the one before it or as soon
// as that one has failed, and the first that answers is it.

const (
	// headStart is what an address has before the next one is tried too.
	headStart = 250 * time.Millisecond
	// maxPlaces bounds how many addresses of a name a dial tries.
	maxPlaces = 8
)

// names is what is known of the addresses of names. Safe to use from any goroutine.
type names struct {
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	mu      sync.Mutex        // guards the rest
	records map[string]record // by host:port as the app wrote it; those with several addresses
	last    place             // dialled last, empty: by the only address of its name
}

// place is an address of a name.
type place struct {
	name string // host:port
	ip   netip.Addr
}

// record is what is known of a name's addresses.
type record struct {
	good, bad netip.Addr // what opened a session last, and what was dialled and did not
}

// places returns the addresses of a name in the order that they are to be tried in.
func (n *names) places(ctx context.Context, network, hostport string) ([]netip.AddrPort, error) {
	if a, err := netip.ParseAddrPort(hostport); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(a.Addr().Unmap(), a.Port())}, nil
	}
	host, service, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return nil, err
	}
	ips, err := n.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(ips) == 0 {
		return nil, fmt.Errorf("no address of %s", host)
	}
	n.mu.Lock()
	r := n.records[hostport]
	n.mu.Unlock()
	var list []netip.AddrPort
	for _, ip := range arrange(ips, r) {
		list = append(list, netip.AddrPortFrom(ip, uint16(port)))
	}
	return list, nil
}

// dialled notes which of several addresses of a name has answered.
func (n *names) dialled(hostport string, ip netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = place{hostport, ip}
}

// opened notes whether the address of a name that was dialled last opened a session.
func (n *names) opened(good bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last.name == "" {
		return
	}
	r := n.records[n.last.name]
	if good {
		r.good = n.last.ip
	} else if r.bad = n.last.ip; r.good == r.bad {
		r.good = netip.Addr{}
	}
	if n.records == nil {
		n.records = map[string]record{}
	}
	n.records[n.last.name] = r
	n.last = place{}
}

// arrange puts what worked first, what did not last, and has the families take
// turns between, the resolver's first choice at the head.
func arrange(ips []netip.Addr, r record) []netip.Addr {
	var families [2][]netip.Addr
	var seen []netip.Addr
	for _, ip := range ips {
		if ip = ip.Unmap(); slices.Contains(seen, ip) {
			continue
		}
		seen = append(seen, ip)
		i := 0
		if ip.Is4() != seen[0].Is4() {
			i = 1
		}
		families[i] = append(families[i], ip)
	}
	list := make([]netip.Addr, 0, len(seen))
	for i := range seen {
		for _, f := range families {
			if i < len(f) {
				list = append(list, f[i])
			}
		}
	}
	rank := func(ip netip.Addr) int {
		switch ip {
		case r.good:
			return 0
		case r.bad:
			return 2
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b netip.Addr) int { return rank(a) - rank(b) })
	return list[:min(len(list), maxPlaces)]
}

// first opens the first address that answers. drop gets what was opened in vain.
func first[T any](ctx context.Context, list []netip.AddrPort, open func(context.Context, netip.AddrPort) (T, error), drop func(T)) (got T, at netip.AddrPort, err error) {
	if len(list) == 1 {
		got, err = open(ctx, list[0])
		return got, list[0], err
	}
	type result struct {
		got T
		at  netip.AddrPort
		err error
	}
	results := make(chan result, len(list)) // no dial waits to tell its result
	ctx, cancel := context.WithCancel(ctx)
	running := 0
	defer func() {
		cancel()
		go func() { // ends with those that are overtaken, which ctx ends
			for range running {
				if r := <-results; r.err == nil {
					drop(r.got)
				}
			}
		}()
	}()
	wait := headStart
	if end, ok := ctx.Deadline(); ok { // each has its chance
		wait = min(wait, until(end)/time.Duration(len(list)+1))
	}
	next := make(chan struct{}, 1) // it is the next address's turn
	turn := func() {
		select {
		case next <- struct{}{}:
		default:
		}
	}
	turn()
	timer := time.AfterFunc(max(wait, 1), turn)
	defer timer.Stop()
	var causes []error
	for running > 0 || len(list) > 0 {
		select {
		case r := <-results:
			if running--; r.err == nil {
				return r.got, r.at, nil
			}
			causes = append(causes, fmt.Errorf("%v: %w", r.at, r.err))
			turn()
		case <-next:
			if len(list) == 0 {
				continue
			}
			a := list[0]
			list = list[1:]
			running++
			go func() { // ends with its dial, which ctx bounds
				got, err := open(ctx, a)
				results <- result{got, a, err}
			}()
			timer.Reset(max(wait, 1))
		}
	}
	return got, at, joined(causes)
}

// dialPlaces opens the first address of a name that answers, and notes which
// that was. open is told whether the name has others.
func dialPlaces[T any](ctx context.Context, n *names, network, hostport string, open func(ctx context.Context, a netip.AddrPort, others bool) (T, error), drop func(T)) (T, error) {
	list, err := n.places(ctx, network, hostport)
	if err != nil {
		var none T
		return none, err
	}
	got, at, err := first(ctx, list, func(ctx context.Context, a netip.AddrPort) (T, error) { return open(ctx, a, len(list) > 1) }, drop)
	if err == nil && len(list) > 1 {
		n.dialled(hostport, at.Addr())
	}
	return got, err
}
