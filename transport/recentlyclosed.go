// SPDX-License-Identifier: MIT

package transport

import "time"

const (
	recentTime = 10 * time.Second
	maxRecent  = 1024
)

// recentlyClosed are the names of links that closed a moment ago: K names one. When
// full, the oldest is forgotten. Owned by the loop.
type recentlyClosed[K comparable] struct {
	until map[K]time.Duration
	order [maxRecent]K
	next  int
}

func (g *recentlyClosed[K]) add(key K, now time.Duration) {
	if g.until == nil {
		g.until = make(map[K]time.Duration)
	}
	delete(g.until, g.order[g.next])
	g.order[g.next] = key
	g.next = (g.next + 1) % maxRecent
	g.until[key] = now + recentTime
}

func (g *recentlyClosed[K]) has(key K, now time.Duration) bool {
	until, ok := g.until[key]
	return ok && now < until
}
