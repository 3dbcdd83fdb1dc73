// SPDX-License-Identifier: MIT

package main

import "testing"

// TestSessionsEndAsTheyMust runs the whole life of a small shard; benchSessions
// itself checks that nobody who beats is given up and that everybody ends.
func TestSessionsEndAsTheyMust(t *testing.T) {
	r, err := benchSessions(5000)
	if err != nil {
		t.Fatal(err)
	}
	if r.HeapPerSession > 500 {
		t.Errorf("a session takes %.0f bytes", r.HeapPerSession)
	}
	if r.HeartbeatAllocs > 0.01 {
		t.Errorf("a heartbeat allocates %.3f times", r.HeartbeatAllocs)
	}
}
