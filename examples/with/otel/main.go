// SPDX-License-Identifier: MIT

// Command otel is a server that tells OpenTelemetry what happens: players, lost links,
// and how long each route takes.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/lifeline-go/lifeline/framework"
)

// observe makes an Observer of a meter. Its instruments are made once; all that happens
// on an event loop is to add to one.
func observe(m metric.Meter) (framework.Observer, error) {
	ctx := context.Background()
	sessions, err1 := m.Int64UpDownCounter("game.sessions", metric.WithDescription("players with a session"))
	lost, err2 := m.Int64Counter("game.links.lost", metric.WithDescription("links that were lost, by reason"))
	closed, err3 := m.Int64Counter("game.sessions.closed", metric.WithDescription("sessions that have ended, by code"))
	handled, err4 := m.Float64Histogram("game.handler.duration", metric.WithUnit("s"), metric.WithDescription("time that handlers take, by route"))
	return framework.Observer{
		Opened: func(*framework.Player, bool) { sessions.Add(ctx, 1) },
		Lost: func(_ *framework.Player, reason string) {
			lost.Add(ctx, 1, metric.WithAttributes(attribute.String("reason", reason)))
		},
		Closed: func(_ *framework.Player, why framework.Reason) {
			sessions.Add(ctx, -1)
			closed.Add(ctx, 1, metric.WithAttributes(attribute.String("code", framework.CodeName(why.Code))))
		},
		Handled: func(_ *framework.Player, route string, took time.Duration, err error) {
			handled.Record(ctx, took.Seconds(), metric.WithAttributes(attribute.String("route", route), attribute.Bool("failed", err != nil)))
		},
	}, errors.Join(err1, err2, err3, err4)
}

func newServer(cfg framework.Config, m metric.Meter) (*framework.Server, error) {
	var err error
	if cfg.Observer, err = observe(m); err != nil {
		return nil, err
	}
	cfg.Strict = true // while it is developed: what comes to nothing is told
	srv, err := framework.New(cfg)
	if err != nil {
		return nil, err
	}
	framework.OnRequest(srv, "half", func(_ *framework.Player, n int) (int, error) {
		if n%2 != 0 {
			return 0, framework.Fail(1001, "an odd number has no half")
		}
		return n / 2, nil
	})
	return srv, nil
}

func main() {
	tcp := flag.String("tcp", "127.0.0.1:7777", "listen `address` of TCP")
	flag.Parse()
	if flag.NArg() > 0 { // what follows it would not be read
		log.Fatalf("%q is no flag", flag.Arg(0))
	}
	// A real one reads by sdk.NewPeriodicReader with an exporter, as otlpmetricgrpc.
	meters := sdk.NewMeterProvider(sdk.WithReader(sdk.NewManualReader()))
	srv, err := newServer(framework.Config{TCP: *tcp}, meters.Meter("game"))
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err = srv.Run(ctx)
	if err = errors.Join(err, meters.Shutdown(context.Background())); err != nil { // exports what is left
		log.Fatal(err)
	}
}
