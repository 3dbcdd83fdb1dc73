// SPDX-License-Identifier: MIT

package transport

import (
	"time"

	"github.com/panjf2000/gnet/v2"
)

const (
	roundBatch = 64               // streams that share a batch: the first one's answer waits for the last one's question
	roundTime  = time.Millisecond // and as long as they may take
	roundWorth = 4                // streams in a round that make up for the wake-up
	roundTry   = 32               // streams that are a batch each before a round is tried anew
)

// round is what gnet finds readable when it looks. It tells of one stream after
// the other, and not when that was all, so each would be a batch of its own. So
// the first one of a round has gnet call the waker, which it does at the end of the
// next round, and that begins at once. Till then a batch stays open, and those of
// gnet's calls are nested in it. Where rounds are small, streams are left alone;
// where it is worth it, rounds begin no closer to each other than Config.CoalesceDelay.
// Owned by the loop.
type round struct {
	coalescer
	waker gnet.Conn // nil while there is none
	began time.Duration
	woken bool   // the waker will end it
	open  bool   // a batch is, between gnet's calls
	batch int    // streams in that
	came  uint64 // streams in the round
	alone int    // streams that were none, in a row
}

// traffic takes what has arrived on a stream.
func (g *gnetLoop) traffic(s *gnetStream) gnet.Action {
	if s.k == nil {
		return gnet.Close
	}
	g.join()
	s.busy = true
	g.l.begin()
	g.l.streamData(s.k, s.Conn)
	g.l.end()
	r := &g.round
	if !r.open {
		r.emptied(g.l.now, g.l.t.cfg.coalesceDelay(), 1)
		return g.after(s.rest())
	}
	r.came++
	if r.batch++; r.batch == roundBatch || g.l.t.now()-g.l.began > roundTime {
		g.settle()
	}
	return g.after(s.rest())
}

// join opens a batch for a stream and those after it, if that is worth it.
func (g *gnetLoop) join() {
	r := &g.round
	if r.open || oneLoop || r.waker == nil {
		return
	}
	if !r.woken {
		r.began = g.l.t.now()
		if r.wait(r.began) == 0 { // else others have just been here
			if r.alone++; r.alone <= roundTry {
				return
			}
		}
		r.woken = r.waker.Wake(nil) == nil
	}
	if r.woken {
		r.open, r.batch = true, 0
		g.l.begin()
	}
}

// settle ends the batch that is open between gnet's calls, if one is.
func (g *gnetLoop) settle() {
	if g.round.open {
		g.round.open = false
		g.l.now = max(g.l.now, g.l.t.now()) // the batch was open for a while
		g.l.end()
	}
}

// ends ends a round. All that has come was read, so this is the time to wait for
// more, if that is worth it.
func (g *gnetLoop) ends() {
	g.settle()
	l, r, delay := g.l, &g.round, g.l.t.cfg.coalesceDelay()
	r.woken = false
	r.emptied(l.now, delay, r.came)
	if r.came < roundWorth {
		r.alone = 0
	}
	r.came = 0
	if wait := r.began + delay - l.now; wait > 0 && r.upto > 0 && !l.ended() {
		l.queue.park(wait)
		l.begin() // a wake-up meanwhile ended the park and woke no socket
		l.end()
		r.upto = l.now + delay
	}
}
