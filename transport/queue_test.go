// SPDX-License-Identifier: MIT

package transport

import "testing"

// TestWakeDuringABatch begins another: this one may have looked at what it is about.
func TestWakeDuringABatch(t *testing.T) {
	var q queue[int]
	wakes := 0
	q.SetWaker(func() { wakes++ })
	q.beginBatch()
	q.Wake()
	q.endBatch(false)
	if wakes != 2 {
		t.Errorf("woken %d times, want 2: once for the waker, and once for Wake", wakes)
	}
	q.beginBatch()
	if q.endBatch(false); wakes != 2 {
		t.Errorf("woken %d times after a batch in which nothing came", wakes)
	}
}
