// SPDX-License-Identifier: MIT

package session

import (
	"fmt"
	"runtime"
	"testing"
)

// witness is a testing.TB that remembers a failure instead of reporting it.
type witness struct {
	testing.TB
	failure string
}

func (w *witness) Helper() {}
func (w *witness) Fatalf(format string, args ...any) {
	w.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
func (w *witness) Fatal(args ...any) { w.Fatalf("%s", fmt.Sprint(args...)) }

// witnessed plays one seed with faults and returns what the oracle found.
func witnessed(t *testing.T, seed uint64, f faults) string {
	_, found := drawCourse(seed).witnessed(t, f)
	return found
}

// TestFaultsAreFound makes mistakes on purpose and expects the simulation to
// find each of them: an oracle that finds nothing proves nothing.
func TestFaultsAreFound(t *testing.T) {
	const most = 60
	for name, f := range map[string]faults{
		"no fence between epochs":          {noFence: true},
		"one packet too many is trimmed":   {trimTooMany: true},
		"count zeroed by a resume":         {zeroAtResume: true},
		"fenced before verified":           {verifyLate: true},
		"acknowledged before accepted":     {acceptLate: true},
		"wake-up lost":                     {loseWakeUp: true},
		"timer not set for a new link":     {keepOldTimer: true},
		"timer of a closed session left":   {keepTimerOfDead: true},
		"closed session left in the table": {keepDead: true},
		"detach reported twice":            {detachTwice: true},
		"undelivered packets not reported": {forgetLost: true},
		"duplicates delivered":             {deliverTwice: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(most) {
				if found := witnessed(t, seed, f); found != "" {
					t.Logf("seed %d: %s", seed, found)
					return
				}
			}
			t.Errorf("not found in %d seeds", most)
		})
	}
	for seed := range uint64(most) {
		if found := witnessed(t, seed, faults{}); found != "" {
			t.Fatalf("seed %d without a fault: %s", seed, found)
		}
	}
}
