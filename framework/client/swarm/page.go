// SPDX-License-Identifier: MIT

package swarm

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"

	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"style": chart.Style, "short": chart.Short}).Parse(pageText))

// pageData is what the template gets.
type pageData struct {
	*Report
	Title, Links, Self string
	Tiles              []tile
	Plots              []template.HTML
	Names              []string // of Counts
}

// tile is a figure at the top of the page.
type tile struct {
	Name, Value string
	Bad         bool
}

// plotted is how many names have a line of their own.
const plotted = 6

// WriteHTML writes the report as a page that needs nothing else.
func (r *Report) WriteHTML(out io.Writer) error {
	d := pageData{Report: r, Title: r.title(), Links: r.links(), Self: r.self(), Names: slices.Sorted(maps.Keys(r.Counts))}
	most := &Request{}
	if len(r.Requests) > 0 {
		most = &r.Requests[0]
	}
	var requests uint64
	for _, q := range r.Requests {
		requests += q.Count
	}
	d.Tiles = []tile{
		{"bots that got in", fmt.Sprintf("%d of %d", r.Connected, r.Bots), r.Connected < uint64(r.Bots)},
		{"bots that failed", fmt.Sprint(r.Failed), r.Failed > 0},
		{"measured", fmt.Sprint(requests), false},
		{"errors", fmt.Sprint(r.Errors), r.Errors > 0},
		{most.Name + ", p99", chart.Short(most.P99) + " ms", false},
		{"links resumed", fmt.Sprintf("%d of %d", r.Resumes, r.Losses), false},
		{"streams reset", fmt.Sprint(r.Resets), r.Resets > 0},
		{"memory a bot", fmt.Sprintf("%d KB", r.MemoryPerBot/1000), false},
	}
	d.Plots = r.plots()
	return page.Execute(out, d)
}

func (r *Report) plots() (all []template.HTML) {
	over := func(p chart.Plot, lines map[string]func(*Sample) float64) chart.Plot {
		p.X = "s"
		for _, name := range slices.Sorted(maps.Keys(lines)) {
			var xy [][2]float64
			for i := range r.Samples {
				xy = append(xy, [2]float64{r.Samples[i].At, lines[name](&r.Samples[i])})
			}
			p.Add(name, xy)
		}
		return p
	}
	p50, p99, curves := chart.Plot{Title: "Half are answered within", X: "s", Y: "ms"}, chart.Plot{Title: "99 % are answered within", X: "s", Y: "ms"},
		chart.Plot{Title: "Share that is answered within", X: "ms", Y: "%", LogX: true}
	for _, q := range r.Requests[:min(plotted, len(r.Requests))] {
		var mid, high, curve [][2]float64
		for i := range r.Samples {
			if l, ok := r.Samples[i].Latency[q.Name]; ok {
				mid, high = append(mid, [2]float64{r.Samples[i].At, l.P50}), append(high, [2]float64{r.Samples[i].At, l.P99})
			}
		}
		for _, c := range q.Curve {
			curve = append(curve, [2]float64{max(c.Us/1e3, 1e-3), 100 * c.Share})
		}
		p50.Add(q.Name, mid)
		p99.Add(q.Name, high)
		curves.Add(q.Name, curve)
	}
	perSecond := func(n uint64, at *Sample) float64 { return float64(n) / r.spacing(at) }
	for _, p := range []chart.Plot{
		p50, p99, curves,
		over(chart.Plot{Title: "Requests", Y: "a second"}, map[string]func(*Sample) float64{
			"requests": func(s *Sample) float64 { return perSecond(s.Requests, s) }, "errors": func(s *Sample) float64 { return perSecond(s.Errors, s) },
		}),
		over(chart.Plot{Title: "Bots", Y: "bots"}, map[string]func(*Sample) float64{
			"playing": func(s *Sample) float64 { return float64(s.Playing) }, "with a link": func(s *Sample) float64 { return float64(s.Connected) },
		}),
		over(chart.Plot{Title: "Links", Y: "a second"}, map[string]func(*Sample) float64{
			"lost": func(s *Sample) float64 { return perSecond(s.Losses, s) }, "resumed": func(s *Sample) float64 { return perSecond(s.Resumes, s) },
			"reset": func(s *Sample) float64 { return perSecond(s.Resets, s) },
		}),
		over(chart.Plot{Title: "This process: processor", Y: "%"}, map[string]func(*Sample) float64{
			"of the cores it may use": func(s *Sample) float64 { return s.CPU },
		}),
		over(chart.Plot{Title: "This process: memory", Y: "MB"}, map[string]func(*Sample) float64{
			"resident": func(s *Sample) float64 { return float64(s.Memory) / 1e6 },
		}),
	} {
		if svg := p.SVG(); svg != "" {
			all = append(all, svg)
		}
	}
	return all
}

// spacing is how many seconds a sample stands for.
func (r *Report) spacing(at *Sample) float64 {
	before := 0.0
	for i := range r.Samples {
		if r.Samples[i].At < at.At {
			before = r.Samples[i].At
		}
	}
	return max(at.At-before, 0.001)
}
