// SPDX-License-Identifier: MIT

package client

import (
	"cmp"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/session"
)

// Which address is dialled first: that of the list's order, except that what
// lately failed where another worked stands back for a while. So a player
// behind a firewall that eats UDP waits for it once, and comes back to it when
// he has come to another network.

const (
	// minAvoid is how long an address stands back the first time; it doubles
	// with every time in a row, up to maxAvoid.
	minAvoid = 30 * time.Second
	maxAvoid = 10 * time.Minute
)

var errSilent = errors.New("client: nothing came back over UDP")

// ways are the addresses that the app gave, and what is known of them. Guarded by
// Client.mu.
type ways struct {
	list     []address     // never changes
	fallback time.Duration // how long UDP may be silent where not all are over UDP; 0: no limit
	log      *slog.Logger

	standings []standing // of list
	astray    int        // links in a row that went where the server sent us, and opened nothing
}

// standing is what is known of an address.
type standing struct {
	failed bool          // since another one worked last
	times  int           // in a row that others worked where it had failed
	avoid  time.Duration // until then others come first
}

// way is an address that is to be dialled.
type way struct {
	address
	index  int           // in the app's list, -1: the server named it
	silent time.Duration // how long it may be before the next is tried, 0: as long as any
}

func newWays(list []address, fallback time.Duration, log *slog.Logger) ways {
	return ways{list: list, fallback: fallback, log: log, standings: make([]standing, len(list))}
}

// next returns what an attempt dials, one after the other: where the server has sent
// us, by urls, and then what the app named.
func (w *ways) next(urls string, now time.Duration) (all []way) {
	for _, a := range w.elsewhere(urls) {
		all = append(all, way{a, -1, w.patience(a)})
	}
	for _, i := range w.order(now) {
		all = append(all, way{w.list[i], i, w.patience(w.list[i])})
	}
	return all
}

// elsewhere returns where urls send us. What the app would not have dialled itself is
// left out: no server talks a client out of encryption.
func (w *ways) elsewhere(urls string) (list []address) {
	for _, text := range strings.Fields(urls) {
		a, err := parseAddress(text)
		if err != nil || !slices.ContainsFunc(w.list, func(own address) bool { return own.scheme() == a.scheme() }) {
			w.log.Debug("client: sent to an address of no use here", "addr", text, "error", err)
			continue
		}
		list = append(list, a)
	}
	if n := len(list); n > 0 {
		list = append(list[w.astray%n:], list[:w.astray%n]...)
	}
	return list
}

// order returns the app's addresses in the order that they are to be dialled in.
func (w *ways) order(now time.Duration) []int {
	order := make([]int, len(w.list))
	every := true
	for i := range order {
		order[i] = i
		every = every && w.standings[i].failed
	}
	if every { // none can be reached, which says nothing about any of them
		for i := range w.standings {
			w.standings[i].failed = false
		}
	}
	rank := func(i int) time.Duration {
		s := &w.standings[i]
		if s.failed {
			return session.Never
		}
		return max(s.avoid-now, 0)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rank(a), rank(b)) })
	return order
}

// failed notes that a way opened no session. Where the server had sent us has no
// standing: the next attempt begins with the next of those.
func (w *ways) failed(index int) {
	if index >= 0 {
		w.standings[index].failed = true
	} else {
		w.astray++
	}
}

// worked notes that a way did, unlike those that failed since.
func (w *ways) worked(index int, now time.Duration) {
	w.astray = 0
	if index < 0 {
		return
	}
	for i := range w.standings {
		switch s := &w.standings[i]; {
		case i == index:
			*s = standing{}
		case s.failed:
			s.failed = false
			s.avoid = now + min(minAvoid<<min(s.times, 10), maxAvoid)
			s.times++
		}
	}
}

// networkChanged notes that what was blocked before need not be any more.
func (w *ways) networkChanged() {
	for i := range w.standings {
		w.standings[i].avoid = 0
	}
}

// patience is how long an address may be silent before another is tried, 0 where there
// is no limit besides the usual ones.
func (w *ways) patience(a address) time.Duration {
	others := slices.ContainsFunc(w.list, func(o address) bool { return !o.carrier.datagrams() })
	if !a.carrier.datagrams() || !others {
		return 0
	}
	return w.fallback
}
