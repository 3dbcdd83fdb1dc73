// SPDX-License-Identifier: MIT

package poll

import "time"

const (
	coalesceWorth     = 2                      // waits that a datagram or more makes up for
	coalesceTrial     = 100 * time.Millisecond // for which it is tried before it is judged
	coalescePause     = time.Second            // without it after it slowed the players down; twice that the next time
	maxCoalescePauses = 3                      // times that this doubles
	coalesceRecheck   = 5 * time.Second        // with it, before it is judged anew what comes without
)

// coalescer decides whether a socket waits for more datagrams, or a loop for more
// streams, before it takes them. A wait is worth it where several arrive in it. It
// is harmful where peers send, wait for the answer and send again: they arrive less
// often with waits. So the coalescer counts what arrives without waits and with
// them, in turn, and stops where that is much less. Owned by the socket, or by the
// loop.
type coalescer struct {
	upto  time.Duration // what arrives before is coalesced
	on    bool
	since time.Duration // the present look began
	until time.Duration // and is judged
	check time.Duration // on: when it is to go off for a look
	n     uint64        // datagrams of the look
	free  uint64        // datagrams a second that come, as far as is known, without waits
	slow  bool          // the last look was too slow with waits
	fails uint8         // times in a row that they were stopped for that
}

// wait returns how long to wait before taking what has begun to arrive.
func (g *coalescer) wait(now time.Duration) time.Duration { return max(g.upto-now, 0) }

// emptied takes note that the socket is empty after n datagrams.
func (g *coalescer) emptied(now, delay time.Duration, n uint64) {
	if g.n += n; now >= g.until {
		g.judge(now, delay)
	}
	g.upto = 0
	if g.on {
		g.upto = now + delay
	}
}

// judge ends a look.
func (g *coalescer) judge(now, delay time.Duration) {
	rate := g.n * uint64(time.Second) / uint64(max(now-g.since, 1))
	worth := coalesceWorth*rate*uint64(delay) >= uint64(time.Second)
	slow := rate < g.free/8*5 // the machine has bad moments, too: once does not count
	look := coalesceTrial
	switch {
	case !g.on:
		g.on, g.slow, g.free = worth, false, rate
		g.check = now + coalesceRecheck
	case slow && !g.slow:
		g.slow = true
	case slow:
		g.on, look = false, coalescePause<<g.fails
		g.fails = min(g.fails+1, maxCoalescePauses)
	case !worth || rate > 2*g.free || now >= g.check:
		g.on, g.fails = false, 0 // what comes without waits is known no more
	default:
		g.slow, g.fails = false, 0
		if rate > g.free {
			g.free += (rate - g.free) / 4
		}
	}
	g.since, g.until, g.n = now, now+look, 0
}
