// SPDX-License-Identifier: MIT

package transport

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

func TestHistogramCellsHoldWhatIsNotAboveTheirBound(t *testing.T) {
	h := NewHistogram([]int64{0, 10, 100})
	for _, v := range []int64{-1, 0, 1, 10, 11, 100, 101, 1 << 40} {
		h.Observe(v)
	}
	s := h.Stats()
	if want := []uint64{2, 2, 2, 2}; !slices.Equal(s.Counts, want) || s.Count() != 8 {
		t.Errorf("cells %v, %d in all, want %v", s.Counts, s.Count(), want)
	}
	if want := int64(-1 + 1 + 10 + 11 + 100 + 101 + 1<<40); s.Sum != want {
		t.Errorf("sum %d, want %d", s.Sum, want)
	}
	var all HistogramStats
	all.Add(s)
	all.Add(h.Stats())
	if want := []uint64{4, 4, 4, 4}; !slices.Equal(all.Counts, want) || all.Sum != 2*s.Sum {
		t.Errorf("twice: %v, sum %d", all.Counts, all.Sum)
	}
	if n := testing.AllocsPerRun(100, func() { h.Observe(50) }); n != 0 {
		t.Errorf("Observe allocates %v times", n)
	}
}

// napper keeps its loop from everything else for a while.
type napper struct{ hooks }

func (n *napper) OnPacket(*Link, codec.Packet, Arrival) { time.Sleep(300 * time.Millisecond) }

// TestBusyLoopTells: time spent in callbacks is the loop's busy time, and what
// waits meanwhile is late.
func TestBusyLoopTells(t *testing.T) {
	memWorlds(t, memnet.Conditions{}, func(t *testing.T, w *world) {
		tr := w.start(t, Config{Loops: 1}, &napper{})
		c := w.dial(t, tr)
		// A deadline 100 ms ahead, which the nap makes 200 ms late.
		onLoop(t, tr.Loops()[0], func() { l := tr.loops[0]; l.WakeAt(l.Now() + 100*time.Millisecond) })
		c.write(frame([]byte("nap")))
		time.Sleep(time.Second)
		s := tr.Stats().Loops[0]
		if s.Busy != 300*time.Millisecond {
			t.Errorf("busy for %v, want the 300ms of the nap", s.Busy)
		}
		late := 0
		for i, n := range s.Lateness.Counts {
			if n > 0 && i < len(latenessBounds) && latenessBounds[i] == int64(250*time.Millisecond) {
				late++
			}
		}
		if late != 1 {
			t.Errorf("lateness %+v, want one of 200ms", s.Lateness)
		}
	})
}

// TestRetransmitsOfAllLinksAreCounted, of those that have closed as well.
func TestRetransmitsOfAllLinksAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &world{carrier: PlainKCP, mem: true, net: memnet.New(7, memnet.Conditions{Delay: 20 * time.Millisecond})}
		h := &hooks{}
		var mu sync.Mutex
		var link *Link
		h.open = func(k *Link) { mu.Lock(); link = k; mu.Unlock() }
		tr := w.start(t, Config{Loops: 1}, h)
		c := w.dial(t, tr)
		c.write(beat)
		time.Sleep(time.Second)
		c.cut()
		onLoop(t, tr.Loops()[0], func() { link.Write(frame([]byte("nobody hears this"))) })
		time.Sleep(5 * time.Second)
		onLoop(t, tr.Loops()[0], func() { link.Close(nil) })
		time.Sleep(time.Second)
		if n := tr.Stats().Retransmits; n < 3 {
			t.Errorf("%d retransmits in 5s of silence", n)
		}
	})
}
