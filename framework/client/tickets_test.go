// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// One ticket serves the attempts of a minute; then, or when its session is over, another
// one is fetched.
func TestOneTicketServesTheAttemptsOfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := byte(0)
		k := tickets{timeout: time.Second, clock: newClock(), ctx: t.Context()}
		k.call = func(context.Context) ([]byte, error) { calls++; return []byte{calls}, nil }
		if ticket, ok := k.get(); ok || !k.due() {
			t.Errorf("before the first: %v, %v, due %v", ticket, ok, k.due())
		}
		attempt := func(want byte) {
			t.Helper()
			if k.due() {
				if err := k.fetch(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if ticket, ok := k.get(); !ok || ticket[0] != want {
				t.Errorf("at %v: ticket %v, %v, want %d", k.clock.now(), ticket, ok, want)
			}
		}
		attempt(1)
		time.Sleep(ticketLife - 1)
		attempt(1)
		time.Sleep(time.Nanosecond)
		attempt(2)
		k.forget()
		attempt(3)
	})
}

// A call that hangs is waited for by every attempt, and no second one is made.
func TestTicketIsFetchedByOneCallAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, hang := 0, make(chan struct{})
		k := tickets{timeout: time.Second, clock: newClock(), ctx: t.Context()}
		k.call = func(context.Context) ([]byte, error) { calls++; <-hang; return nil, errors.New("offline") }
		for range 3 {
			begin := k.clock.now()
			if err := k.fetch(t.Context()); !errors.Is(err, context.DeadlineExceeded) || k.clock.now()-begin != k.timeout {
				t.Errorf("%v after %v", err, k.clock.now()-begin)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := k.fetch(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("of an attempt that is over: %v", err)
		}
		close(hang)
		synctest.Wait()
		if ticket, ok := k.get(); ok || calls != 1 || !k.due() {
			t.Errorf("after an error: %v, %v, %d calls, due %v", ticket, ok, calls, k.due())
		}
	})
}

// Without a function every ticket is empty, and none is due.
func TestEmptyTicket(t *testing.T) {
	k := tickets{clock: newClock()}
	if ticket, ok := k.get(); !ok || ticket != nil || k.due() {
		t.Errorf("%v, %v, due %v", ticket, ok, k.due())
	}
}
