// SPDX-License-Identifier: MIT

package transport

import (
	"testing"
	"time"
)

// TestMTUSearch plays a link that always has more to say, on a path that carries
// datagrams up to a size, and from a moment on none but the smallest.
func TestMTUSearch(t *testing.T) {
	for _, carries := range append([]int{0}, datagramSizes[:]...) {
		var s mtuSearch
		step, probes := 0, 0
		now := time.Duration(0)
		for ; now < time.Minute; now += 50 * time.Millisecond {
			if s.lost(now, step, 0) {
				t.Fatalf("path of %d: lost without a retransmission", carries)
			}
			size := s.probe(now, step)
			if size == 0 {
				continue
			}
			if probes++; size != datagramSizes[step+1] {
				t.Fatalf("path of %d: probe of %d bytes at step %d", carries, size, step)
			}
			if _, ok := s.confirmed(now, step, 0, [8]byte{}); ok {
				t.Fatal("an answer to another question counts")
			}
			if size <= carries {
				larger, ok := s.confirmed(now, step, 0, s.token)
				if !ok || larger != step+1 {
					t.Fatalf("path of %d: step %d, %v after %d", carries, larger, ok, step)
				}
				if _, again := s.confirmed(now, larger, 0, s.token); again {
					t.Fatal("an answer counts twice")
				}
				step = larger
			}
		}
		want, most := 0, 0
		for i, size := range datagramSizes {
			if size <= carries {
				want = i
			}
		}
		if most = want; want+1 < len(datagramSizes) {
			most += maxMTUProbes
		}
		if step != want || probes != most {
			t.Errorf("path of %d: step %d after %d probes, want %d after %d", carries, step, probes, want, most)
		}
		if step == 0 {
			continue
		}
		if lost, size := s.lost(now, step, maxFailures), s.probe(now, step); size != 0 || lost {
			t.Errorf("path of %d: %d retransmissions end a size", carries, maxFailures)
		}
		if !s.lost(now, step, maxFailures+1) {
			t.Errorf("path of %d: lost datagrams are sent on", carries)
		}
		if size := s.probe(now+mtuSearchAgain-1, 0); size != 0 {
			t.Errorf("path of %d: looks again at once", carries)
		}
		if size := s.probe(now+mtuSearchAgain, 0); size != datagramSizes[1] {
			t.Errorf("path of %d: never looks again", carries)
		}
	}
}
