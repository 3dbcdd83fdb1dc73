// SPDX-License-Identifier: MIT

package framework

import (
	"context"
	"time"
)

// clock and since are the only places where the package reads the time.
func clock() time.Time { return time.Now() }

// since reads the monotonic clock only. It is cheaper than clock, which reads the
// wall clock as well.
func since(t time.Time) time.Duration { return time.Since(t) }

// requestTimeout bounds a request whose context has no deadline: a client that
// was asked to hold can't answer before its messages are handled, and the
// handler of one of them may be what waits.
const requestTimeout = 30 * time.Second

// bounded returns ctx, with requestTimeout if it has no deadline.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, requestTimeout)
}
