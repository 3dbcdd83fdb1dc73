// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/lifeline-go/lifeline/codec"
)

// InRoom is a Room, or a type that embeds one.
type InRoom interface{ self() *Room }

func (r *Room) self() *Room { return r }

// Async runs work on a goroutine of its own, where it may block, and then done with
// its result on the room's goroutine. To be called on the room's goroutine. done
// runs exactly once, also if work panics: then err is one of codec.ErrorInternal. A
// room does not end before: OnEnd comes after it. ctx ends 10 s after the room was
// closed, or the last member has left. Of one room 256 run at once; one more is told
// codec.ErrorBusy, and so is what is begun once ctx has ended, or in OnEnd, which may block
// itself.
func Async[T any](in InRoom, work func(ctx context.Context) (T, error), done func(result T, err error)) {
	r := in.self()
	var result T
	w := &r.work
	switch {
	case w.over || w.ctx != nil && w.ctx.Err() != nil:
		done(result, refusal(codec.ErrorBusy, "the room has ended"))
		return
	case w.running >= maxWork:
		done(result, refusal(codec.ErrorBusy, fmt.Sprintf("%d calls run for this room, as many as may", w.running)))
		return
	}
	if w.ctx == nil {
		w.ctx, w.stop = context.WithCancel(context.Background())
	}
	w.running++
	ctx := w.ctx
	go func() { // ends with work, which ctx bounds
		err := errors.New("framework: the work of a room has not returned")
		returned := false
		defer func() {
			if v := unwinding(returned, recover()); v != nil {
				r.kind.srv.panicked(nil, "Async", v, "room", r.name())
				err = refusal(codec.ErrorInternal, "internal error")
			}
			r.deliver(func() {
				w.running--
				done(result, err)
			})
		}()
		result, err = work(ctx)
		returned = true
	}()
}

// Reply answers a request, once: a second answer is dropped. Safe to call from any
// goroutine, at any time.
type Reply[A any] func(answer A, err error)

// OnRoomRequestAsync registers a handler of a request that answers later: when what
// Async began is done, on the next tick, or when another player has moved. It calls
// reply once. The messages of the player go on meanwhile. A request that is never
// answered ends when its client loses patience.
func OnRoomRequestAsync[R, Q, A, P any](rs *RoomsOf[R, P], route string, fn func(room R, p *Player, q Q, reply Reply[A])) *Route {
	return addRequest(rs.kind.srv, route, rs.kind, fn == nil, func(room any, p *Player, in scope, q Q) (none A, _ error) {
		var answered atomic.Bool
		fn(room.(R), p, q, func(answer A, err error) {
			if answered.Swap(true) {
				return
			}
			if !p.call(route, func() { examine(err) }) {
				err = refusal(codec.ErrorInternal, "internal error")
			}
			p.answer(in.asked, &answer, err)
		})
		return none, errLater
	})
}
