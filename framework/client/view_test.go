// SPDX-License-Identifier: MIT

package client

import "testing"

// What is called for something new may look at it and change what is called next.
func TestViewMayBeUsedFromItsCallback(t *testing.T) {
	var v view[int]
	v.take(1)
	var got []int
	v.call(func(n int) {
		got = append(got, n, v.get())
		v.call(nil)
	})
	v.take(2)
	v.take(3)
	if len(got) != 2 || got[0] != 2 || got[1] != 2 || v.get() != 3 {
		t.Errorf("called with %v, the newest is %d", got, v.get())
	}
}
