// SPDX-License-Identifier: MIT

package framework

import (
	"context"

	"github.com/lifeline-go/lifeline/codec"
)

// Do runs f with the room of a key on its goroutine, and waits until f has returned. The
// error is ErrNoRoom if no such room is open at this server, or was made; one of
// codec.ErrorBusy if 4,096 functions wait for the room already; one of codec.ErrorInternal
// if f panicked; or ctx's, after half a minute if ctx has no deadline: then f may be running
// still, and if it has not begun it never does. Not to be called by a callback of that room:
// it would wait for itself. Safe to call from any other goroutine.
func (rs *RoomsOf[R, P]) Do(ctx context.Context, key string, f func(room R)) error {
	k := rs.kind
	ctx, cancel := bounded(ctx)
	defer cancel()
	k.mu.Lock()
	at := k.plan.Get(key)
	k.mu.Unlock()
	if at == nil {
		return ErrNoRoom
	}
	done := make(chan error, 1)
	ok := at.Value.Post(func() {
		err := error(refusal(codec.ErrorInternal, "internal error")) // of an f that panics
		defer func() { done <- err }()
		switch {
		case ctx.Err() != nil:
			err = ctx.Err()
		case at.Value.born.err != nil: // it was not made
			err = ErrNoRoom
		default:
			f(at.Value.value.(R))
			err = nil
		}
	})
	if !ok && at.Value.ended() != nil {
		return ErrNoRoom
	} else if !ok {
		return refusal(codec.ErrorBusy, "too much waits for the room")
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
