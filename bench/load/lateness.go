// SPDX-License-Identifier: MIT

package load

import "github.com/lifeline-go/lifeline/framework/client/swarm/chart"

// Lateness tells the players' own part of a latency from the server's. The latency
// of a request is the sum of the three: players that share one core write late and
// read late, and what is left is the way to the server and back.
type Lateness struct {
	Write chart.Histogram // from the time at which a request was due to its being written
	Read  chart.Histogram // from the arrival of an answer in the player's socket, which the kernel stamps, to its being read
	Apart chart.Histogram // from the one to the other: written to arrived
}

func (l *Lateness) reset() {
	l.Write.Reset()
	l.Read.Reset()
	l.Apart.Reset()
}
