// SPDX-License-Identifier: MIT

package framework_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

// TestMemoryIsReturnedAfterALoginStorm: once, when it is over, and not at all for those
// who want to see to it themselves.
func TestMemoryIsReturnedAfterALoginStorm(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  framework.Config
		want int32
	}{
		{"default", framework.Config{Loops: 1}, 1},
		{"KeepMemory", framework.Config{Loops: 1, KeepMemory: true}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			simulate(t, 1, memnet.Conditions{}, c.cfg, nil, func(e *env) {
				var calls atomic.Int32
				e.srv.LoginStorm(20_000, func() { calls.Add(1) })
				e.dial("first", transport.KCP) // its deadlines are what wakes the loop
				time.Sleep(2 * time.Minute)
				if got := calls.Load(); got != c.want {
					t.Errorf("memory was given back %d times, want %d", got, c.want)
				}
			})
		})
	}
}
