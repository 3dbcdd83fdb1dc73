// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"testing"
	"time"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
	"github.com/lifeline-go/lifeline/transport/memnet"
)

type tenant struct{}

// TestHandlersContextEndsWithTheSession, and carries what middleware has put there.
func TestHandlersContextEndsWithTheSession(t *testing.T) {
	for _, used := range []bool{true, false} {
		onEach(t, func(t *testing.T, carrier transport.Carrier) {
			d := &diary{}
			simulate(t, 1, memnet.Conditions{}, framework.Config{Session: quick}, func(s *framework.Server) {
				if used {
					s.Use(func(next framework.Handler) framework.Handler {
						return func(c *framework.Call) error {
							c.SetContext(context.WithValue(c.Context(), tenant{}, "acme of "+c.Player.User()))
							return next(c)
						}
					})
				}
				framework.OnRequestContext(s, "tenant", func(ctx context.Context, _ *framework.Player, _ int) (string, error) {
					who, _ := ctx.Value(tenant{}).(string)
					return who, ctx.Err()
				})
				framework.OnMessageContext(s, "wait", func(ctx context.Context, p *framework.Player, _ int) {
					<-ctx.Done()
					d.add("%s waits no more", p.User())
				})
			}, func(e *env) {
				c := e.dial("ann", carrier)
				want, got := "", "-"
				if used {
					want = "acme of ann"
				}
				if err := c.Request(context.Background(), "tenant", 0, &got); err != nil || got != want {
					t.Errorf("of %q, want %q, %v", got, want, err)
				}
				_ = c.Send("wait", 0)
				time.Sleep(time.Second)
				wantDiary(t, d)
				_ = c.Close()
				e.within(time.Second, "the handler is back", d.has("ann waits no more"))
			})
		})
	}
}
