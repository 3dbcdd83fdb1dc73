// SPDX-License-Identifier: MIT

package transport

import "time"

// When gathering is worth its wait: Config.Gather.
const (
	gatherWorth = 12                     // datagrams that make up for a wait
	gatherTries = 8                      // waits in a row that do not, before there is none for a while
	gatherRest  = 100 * time.Millisecond // that while
)

// gathering decides how long the datagrams of a socket are let come together.
// A player alone on a server is answered as fast as it asks: waits that bring
// hardly anything stop for a while. Owned by the socket.
type gathering struct {
	upto time.Duration // what arrives before is gathered
	rest time.Duration // nothing is before this
	poor int           // waits in a row that were not worth it
}

// wait returns how long to wait before taking what has begun to arrive.
func (g *gathering) wait(now time.Duration) time.Duration { return max(g.upto-now, 0) }

// emptied takes note that the socket is empty after n datagrams. waited says
// that they had a whole wait to come in.
func (g *gathering) emptied(now, gather time.Duration, n uint64, waited bool) {
	switch {
	case n >= gatherWorth:
		g.poor = 0
	case waited:
		if g.poor++; g.poor == gatherTries {
			g.poor, g.rest = 0, now+gatherRest
		}
	}
	g.upto = 0
	if now >= g.rest {
		g.upto = now + gather
	}
}
