// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"maps"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/framework/gametest"
)

// read returns what the instruments hold, by name and attributes.
func read(t *testing.T, r sdk.Reader) map[string]int64 {
	var all metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	add := func(name string, of attribute.Set, n int64) {
		got[fmt.Sprint(name, "{", of.Encoded(attribute.DefaultEncoder()), "}")] += n
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, int64(p.Count))
				}
			}
		}
	}
	return got
}

func TestWhatIsMeasured(t *testing.T) {
	reader := sdk.NewManualReader()
	meters := sdk.NewMeterProvider(sdk.WithReader(reader))
	gametest.Run(t, func(cfg framework.Config) (*framework.Server, error) { return newServer(cfg, meters.Meter("game")) }, func(g *gametest.Game) {
		ann, bob := g.Player("ann"), g.Player("bob")
		for n := range 4 {
			_ = ann.Client.Request(g.T.Context(), "half", n, nil)
		}
		bob.Close()
		g.Within("bob is gone", func() bool { return g.Server.Stats().Sessions == 1 })
		want := map[string]int64{
			"game.sessions{}":                                1,
			"game.sessions.closed{code=left}":                1,
			"game.handler.duration{failed=false,route=half}": 2,
			"game.handler.duration{failed=true,route=half}":  2,
		}
		if got := read(g.T, reader); !maps.Equal(got, want) {
			g.T.Errorf("measured %v, want %v", got, want)
		}
	})
}
