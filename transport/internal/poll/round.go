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
)

// round is what gnet finds readable when it looks. It tells of one stream after
// the other, and not when that was all, so the loop has looked before, or writes to its
// waker: what gnet tells before it tells of that shares a batch. Owned by the loop.
type round struct {
	open    bool           // a batch is, between gnet's calls
	batch   int            // streams in that
	came    uint64         // streams in the round
	left    int            // streams that gnet is still to tell of, if it is known; else 0
	streams map[int32]bool // by descriptor
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
	r.came++
	if r.batch++; r.batch >= RoundBatch || g.r.Now()-g.sink.Now() > RoundTime {
		g.settle()
	}
	action := g.after(s.rest())
	if action != gnet.None || r.left == 0 {
		return action // OnClose ends the round, or the waker does
	}
	if r.left--; r.left > 0 {
		return gnet.None
	}
	g.settle()
	return g.turn()
}

// join opens a batch for a stream and those after it.
func (g *loop) join() {
	if r := &g.round; !r.open && !oneLoop {
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
