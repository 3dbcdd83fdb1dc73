// SPDX-License-Identifier: MIT

package transport

import "time"

const (
	recentTime = 10 * time.Second
	maxRecent  = 1024
)

// recentlyClosed are the keys of plain-KCP links that closed a moment ago. Owned by
// the loop. When full, the oldest is forgotten.
type recentlyClosed struct {
	until map[plainKey]time.Duration
	order [maxRecent]plainKey
	next  int
}

func (g *recentlyClosed) add(key plainKey, now time.Duration) {
	if g.until == nil {
		g.until = make(map[plainKey]time.Duration)
	}
	delete(g.until, g.order[g.next])
	g.order[g.next] = key
	g.next = (g.next + 1) % maxRecent
	g.until[key] = now + recentTime
}

func (g *recentlyClosed) has(key plainKey, now time.Duration) bool {
	until, ok := g.until[key]
	return ok && now < until
}
