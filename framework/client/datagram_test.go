// SPDX-License-Identifier: MIT

package client

import "testing"

// What is overtaken on its own route is old, and other routes have nothing to do with it.
func TestDatagramsThatAreOvertakenAreOld(t *testing.T) {
	n := newest{}
	for i, c := range []struct {
		route  uint32
		number uint64
		want   bool
	}{{1, 0, true}, {1, 0, false}, {1, 5, true}, {1, 4, false}, {2, 4, true}, {1, 6, true}, {2, 4, false}} {
		if got := n.take(c.route, c.number); got != c.want {
			t.Errorf("message %d, of route %d in datagram %d: new %v, want %v", i, c.route, c.number, got, c.want)
		}
	}
}
