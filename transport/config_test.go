// SPDX-License-Identifier: MIT

package transport

import (
	"runtime"
	"testing"
)

// TestLoops: where streams are served, one processor is left to all that is not a loop.
func TestLoops(t *testing.T) {
	was := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(was)
	for _, c := range []struct {
		processors int
		cfg        Config
		want       int
	}{
		{1, Config{TCP: ":0"}, 1},
		{4, Config{TCP: ":0"}, 3},
		{4, Config{SealedTCP: ":0", KCP: ":0"}, 3},
		{4, Config{WebSocket: ":0"}, 3},
		{4, Config{KCP: ":0", PlainKCP: ":0"}, 4},
		{4, Config{TCP: ":0", Loops: 4}, 4},
	} {
		runtime.GOMAXPROCS(c.processors)
		if n := c.cfg.loops(); n != c.want {
			t.Errorf("%d processors, %+v: %d loops, want %d", c.processors, c.cfg, n, c.want)
		}
	}
}
