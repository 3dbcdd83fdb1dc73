// SPDX-License-Identifier: MIT

package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// expressions returns the queries of dashboard.json, by the title of their panel.
func expressions(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	all, ids := map[string][]string{}, map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || all[p.Title] != nil {
			t.Errorf("panel %q: its id %d or its title stands twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], target.Expr)
		}
	}
	return all
}

var (
	metricName = regexp.MustCompile(`\b(lifeline|go|process)_[a-z_]+`)
	groupedBy  = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// TestDashboardShowsWhatThereIs: every metric of the dashboard is exported, a counter is
// asked for its rate and nothing else is, and what is told apart by a label has that label.
func TestDashboardShowsWhatThereIs(t *testing.T) {
	known := map[string]family{}
	for _, f := range families {
		if f.histograms == nil {
			known[f.name] = f
			continue
		}
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			of := f
			of.kind, of.labels = prometheus.CounterValue, append(slices.Clone(f.labels), "le")
			known[f.name+part] = of
		}
	}
	seen := map[string]bool{}
	for panel, list := range expressions(t) {
		for _, expr := range list {
			name := metricName.FindString(expr)
			if !strings.HasPrefix(name, "lifeline_") {
				continue // of the collectors of the library
			}
			seen[name] = true
			f, ok := known[name]
			if !ok {
				t.Errorf("panel %q asks for %s, which is not exported", panel, name)
				continue
			}
			if rate := strings.Contains(expr, "rate("+name); rate != (f.kind == prometheus.CounterValue) {
				t.Errorf("panel %q: rate of %s: %v", panel, name, rate)
			}
			for _, by := range groupedBy.FindAllStringSubmatch(expr, -1) {
				for label := range strings.SplitSeq(by[1], ", ") {
					if label != "instance" && !slices.Contains(f.labels, label) {
						t.Errorf("panel %q: %s has no label %q", panel, name, label)
					}
				}
			}
		}
	}
	if len(seen) < 50 {
		t.Errorf("only %d metrics on the dashboard", len(seen))
	}
}
