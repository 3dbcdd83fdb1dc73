// SPDX-License-Identifier: MIT

package framework_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/framework"
)

// meter stands for OpenTelemetry's: an Int64Counter has this Add, a
// Float64Histogram this Record, with metric.WithAttributes(attribute.String("route",
// route), …) in place of the strings. What is asked for by name is made once.
type meter struct {
	mu     sync.Mutex
	totals map[string]int64
}

type instrument struct {
	of   *meter
	name string
}

func (m *meter) counter(name string) instrument   { return instrument{m, name} }
func (m *meter) histogram(name string) instrument { return instrument{m, name} }

func (i instrument) Add(_ context.Context, n int64, attributes ...string) {
	i.of.mu.Lock()
	defer i.of.mu.Unlock()
	i.of.totals[i.name+"{"+strings.Join(attributes, ",")+"}"] += n
}

func (i instrument) Record(ctx context.Context, _ float64, attributes ...string) {
	i.Add(ctx, 1, attributes...)
}

// telemetry makes an Observer of a meter. The instruments are made once, and
// all that happens on an event loop is to add to one. A span would be made in
// Handled, of what is known then: tracer.Start with trace.WithTimestamp(now less
// took), then End.
func telemetry(m *meter) framework.Observer {
	ctx := context.Background()
	sessions := m.counter("game.sessions") // an Int64UpDownCounter
	lost := m.counter("game.links.lost")
	closed := m.counter("game.sessions.closed")
	handled := m.histogram("game.handler.duration")
	return framework.Observer{
		Opened: func(*framework.Player, bool) { sessions.Add(ctx, 1) },
		Lost:   func(_ *framework.Player, reason string) { lost.Add(ctx, 1, "reason="+reason) },
		Closed: func(_ *framework.Player, why framework.Reason) {
			sessions.Add(ctx, -1)
			closed.Add(ctx, 1, "code="+framework.CodeName(why.Code))
		},
		Handled: func(_ *framework.Player, route string, took time.Duration, err error) {
			outcome := "ok"
			if err != nil {
				outcome = "error"
			}
			handled.Record(ctx, took.Seconds(), "route="+route, "outcome="+outcome)
		},
	}
}

// Metrics for OpenTelemetry, which the framework itself need not know.
func ExampleObserver() {
	m := &meter{totals: map[string]int64{}}
	srv, err := framework.New(framework.Config{TCP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler), Observer: telemetry(m)})
	if err != nil {
		fmt.Println(err)
		return
	}
	framework.OnRequest(srv, "buy", func(_ *framework.Player, gold int) (string, error) {
		if gold < 10 {
			return "", framework.Fail(1002, "too poor")
		}
		return "a sword", nil
	})
	stop := start(srv)
	c, ctx := player(srv, "ann"), context.Background()
	connect(c)
	for _, gold := range []int{5, 10, 20} {
		_ = c.Request(ctx, "buy", gold, nil)
	}
	stop()
	for _, name := range slices.Sorted(maps.Keys(m.totals)) {
		fmt.Println(name, m.totals[name])
	}
	// Output:
	// game.handler.duration{route=buy,outcome=error} 1
	// game.handler.duration{route=buy,outcome=ok} 2
	// game.sessions.closed{code=left} 1
	// game.sessions{} 0
}
