// SPDX-License-Identifier: MIT

package poll

import (
	"time"

	"github.com/panjf2000/gnet/v2"
)

// The exported ones are for tests.
const (
	RoundBatch = 64               // streams that share a batch: the first one's answer waits for the last one's question
	RoundTime  = time.Millisecond // and as long as they may take
	roundWorth = 4                // streams in a round that make up for the wake-up
	RoundTry   = 32               // streams that are a batch each before a round is tried anew
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
func (g *loop) traffic(s *stream) gnet.Action {
	if s.k == nil {
		return gnet.Close
	}
	g.join()
	s.busy = true
	s.k.Data(s.Conn)
	r := &g.round
	if !r.open {
		r.emptied(g.sink.Now(), g.r.CoalesceDelay, 1)
		return g.after(s.rest())
	}
	r.came++
	if r.batch++; r.batch == RoundBatch || g.r.Now()-g.sink.Now() > RoundTime {
		g.settle()
	}
	return g.after(s.rest())
}

// join opens a batch for a stream and those after it, if that is worth it.
func (g *loop) join() {
	r := &g.round
	if r.open || oneLoop || r.waker == nil {
		return
	}
	if !r.woken {
		r.began = g.r.Now()
		if r.wait(r.began) == 0 { // else others have just been here
			if r.alone++; r.alone <= RoundTry {
				return
			}
		}
		r.woken = r.waker.Wake(nil) == nil
	}
	if r.woken {
		r.open, r.batch = true, 0
		g.sink.Begin()
	}
}

// settle ends the batch that is open between gnet's calls, if one is.
func (g *loop) settle() {
	if g.round.open {
		g.round.open = false
		g.sink.Refresh() // the batch was open for a while
		g.sink.End()
	}
}

// ends ends a round. All that has come was read, so this is the time to wait for
// more, if that is worth it.
func (g *loop) ends() {
	g.settle()
	r, delay := &g.round, g.r.CoalesceDelay
	r.woken = false
	r.emptied(g.sink.Now(), delay, r.came)
	if r.came < roundWorth {
		r.alone = 0
	}
	r.came = 0
	if wait := r.began + delay - g.sink.Now(); wait > 0 && r.upto > 0 && !g.sink.Ended() {
		g.queue.Park(wait)
		g.look() // a wake-up meanwhile ended the park, and nothing else tells of it
		r.upto = g.sink.Now() + delay
	}
}
