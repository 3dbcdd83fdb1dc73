// SPDX-License-Identifier: MIT

package session

import (
	"math"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/codec"
)

// TestEveryWrongProofTakesTheSameTime asks for sessions that are attached, away,
// dead and made up, with proofs that are wrong from the first or from the last
// bit on. All are refused by the same work: of many interleaved rounds the
// fastest of each, the one that nothing disturbed, is as fast as the others
// (scenario 45).
func TestEveryWrongProofTakesTheSameTime(t *testing.T) {
	w := newWorld(t, 1, Config{})
	here, away, dead := w.connected("a"), w.connected("b"), w.connected("c")
	away.lose()
	away.noDial = true
	w.until(time.Minute, func() bool { return away.seat.s.State() == Detached })
	dead.seat.close(Internal)
	l := w.forge()
	cases := map[string]codec.Packet{}
	for name, p := range map[string]*player{"attached": here, "away": away, "dead": dead} {
		r := ResumeRequest{ID: p.c.id, Attempt: p.c.attempt + 1, Recv: 1, Lowest: 1}
		good := r.proof(w.srv.keys.Of(r.ID), l.nonce)
		for at, mask := range map[string][2]int{"first": {0, 0x80}, "last": {31, 1}} {
			r.Proof = good
			r.Proof[mask[0]] ^= byte(mask[1])
			cases[name+", "+at] = packetOf(t, r.append(nil))
		}
	}
	made := ResumeRequest{ID: ID{1, 2, 3}, Attempt: 1, Lowest: 1}
	made.Proof = made.proof(Key{9}, l.nonce)
	cases["made up"] = packetOf(t, made.append(nil))

	fastest := map[string]time.Duration{}
	for range 2000 {
		for name, pk := range cases {
			start := time.Now()
			r, err := ParseResume(pk)
			refusal := w.srv.resume(l, r)
			took := time.Since(start)
			if err != nil || refusal == nil || *refusal != (CloseError{Code: Unknown}) {
				t.Fatalf("%s: %v, %v", name, refusal, err)
			}
			if best, ok := fastest[name]; !ok || took < best {
				fastest[name] = took
			}
		}
	}
	least, most := time.Duration(math.MaxInt64), time.Duration(0)
	for _, d := range fastest {
		least, most = min(least, d), max(most, d)
	}
	t.Logf("%v to %v", least, most)
	if most > least*3/2 {
		t.Errorf("a refusal takes %v or %v, depending on what is wrong: %v", least, most, fastest)
	}
}
