// SPDX-License-Identifier: MIT

package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A ticket serves the dials of a minute, until a login takes it. Then another one is fetched.
func TestATicketIsTakenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := byte(0)
		k := tickets{timeout: time.Second, clock: newClock(), ctx: t.Context()}
		k.call = func(context.Context) ([]byte, error) { calls++; return []byte{calls}, nil }
		if ticket, ok := k.take(); ok || !k.due() {
			t.Errorf("before the first: %v, %v, due %v", ticket, ok, k.due())
		}
		dial := func(want byte) {
			t.Helper()
			if k.due() {
				if err := k.fetch(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if calls != want {
				t.Errorf("at %v: %d calls, want %d", k.clock.now(), calls, want)
			}
		}
		take := func(want byte) {
			t.Helper()
			if ticket, ok := k.take(); !ok || ticket[0] != want {
				t.Errorf("at %v: ticket %v, %v, want %d", k.clock.now(), ticket, ok, want)
			}
			if ticket, ok := k.take(); ok || ticket != nil || !k.due() {
				t.Errorf("at %v: taken twice: %v, due %v", k.clock.now(), ticket, k.due())
			}
		}
		dial(1)
		time.Sleep(ticketLife - 1)
		dial(1)
		take(1)
		dial(2)
		time.Sleep(ticketLife)
		dial(3)
		take(3)
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
		if ticket, ok := k.take(); ok || calls != 1 || !k.due() {
			t.Errorf("after an error: %v, %v, %d calls, due %v", ticket, ok, calls, k.due())
		}
	})
}

// Without a function every ticket is empty, and none is due.
func TestEmptyTicket(t *testing.T) {
	k := tickets{clock: newClock()}
	for range 2 {
		if ticket, ok := k.take(); !ok || ticket != nil || k.due() {
			t.Errorf("%v, %v, due %v", ticket, ok, k.due())
		}
	}
}
