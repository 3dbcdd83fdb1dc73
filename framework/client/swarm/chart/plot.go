// SPDX-License-Identifier: MIT

package chart

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// Plot is a small line chart, drawn as SVG. Its colors are Style's, light or dark.
type Plot struct {
	Title, X, Y string
	LogX, LogY  bool
	lines       []line
}

type line struct {
	name string
	xy   [][2]float64
}

// Add draws a line; a name that is there already gets a number.
func (p *Plot) Add(name string, xy [][2]float64) {
	if len(xy) == 0 {
		return
	}
	n := 1
	for _, l := range p.lines {
		if l.name == name || strings.HasPrefix(l.name, name+" (") {
			n++
		}
	}
	if n > 1 {
		name = fmt.Sprintf("%s (%d)", name, n)
	}
	p.lines = append(p.lines, line{name, xy})
}

// Extend adds a point to the line of that name.
func (p *Plot) Extend(name string, xy [2]float64) {
	for i := range p.lines {
		if l := &p.lines[i]; l.name == name {
			l.xy = append(l.xy, xy)
			slices.SortFunc(l.xy, func(a, b [2]float64) int { return cmp.Compare(a[0], b[0]) })
			return
		}
	}
	p.lines = append(p.lines, line{name, [][2]float64{xy}})
}

const (
	plotWidth, plotHeight                    = 560.0, 300.0
	plotLeft, plotRight, plotTop, plotBottom = 62.0, 12.0, 12.0, 44.0
)

// SVG draws it. Nothing of it comes from outside, but names are escaped.
func (p Plot) SVG() template.HTML {
	if len(p.lines) == 0 {
		return ""
	}
	lo, hi, bottom, top := math.Inf(1), math.Inf(-1), math.Inf(1), 0.0
	for _, l := range p.lines {
		for _, v := range l.xy {
			lo, hi, bottom, top = min(lo, v[0]), max(hi, v[0]), min(bottom, v[1]), max(top, v[1])
		}
	}
	scale := func(v float64) float64 { return v }
	if p.LogX && lo > 0 {
		scale = math.Log10
	} else {
		lo = min(lo, 0)
	}
	if hi <= lo {
		hi = lo + 1
	}
	ySteps := ticks(0, top)
	height := func(v float64) float64 { return v / ySteps[len(ySteps)-1] }
	if p.LogY && bottom > 0 {
		for ySteps = decades(bottom, 10*top); ySteps[1] <= bottom; ySteps = ySteps[1:] {
		}
		for n := len(ySteps); n > 2 && ySteps[n-2] >= top; n-- {
			ySteps = ySteps[:n-1]
		}
		first, last := math.Log10(ySteps[0]), math.Log10(ySteps[len(ySteps)-1])
		height = func(v float64) float64 { return (math.Log10(v) - first) / (last - first) }
	}
	x := func(v float64) float64 {
		return plotLeft + (scale(v)-scale(lo))/(scale(hi)-scale(lo))*(plotWidth-plotLeft-plotRight)
	}
	y := func(v float64) float64 { return plotHeight - plotBottom - height(v)*(plotHeight-plotTop-plotBottom) }
	var b strings.Builder
	fmt.Fprintf(&b, `<figure><figcaption>%s</figcaption><svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, Escape(p.Title), plotWidth, plotHeight, Escape(p.Title))
	for _, v := range ySteps {
		fmt.Fprintf(&b, `<path class="grid" d="M%g %.1fH%g"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`, plotLeft, y(v), plotWidth-plotRight, plotLeft-6, y(v)+4, tick(v))
	}
	xSteps := ticks(lo, hi)
	if p.LogX && lo > 0 {
		xSteps = decades(lo, hi)
	}
	for _, v := range xSteps {
		if v < lo || v > hi {
			continue
		}
		fmt.Fprintf(&b, `<path class="grid" d="M%.1f %gV%g"/><text x="%.1f" y="%g" text-anchor="middle">%s</text>`, x(v), plotTop, plotHeight-plotBottom, x(v), plotHeight-plotBottom+16, tick(v))
	}
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="end">%s</text><text x="4" y="%g" transform="rotate(-90 12 %g)" text-anchor="middle">%s</text>`,
		plotWidth-plotRight, plotHeight-6, Escape(p.X), plotHeight/2, plotHeight/2, Escape(p.Y))
	for i, l := range p.lines {
		var d strings.Builder
		for j, v := range l.xy {
			fmt.Fprintf(&d, "%c%.1f %.1f", "ML"[min(j, 1)], x(v[0]), y(v[1]))
		}
		fmt.Fprintf(&b, `<path class="line c%d" d="%s"/>`, i%8, d.String())
		if len(l.xy) <= 8 {
			for _, v := range l.xy {
				fmt.Fprintf(&b, `<circle class="c%d" cx="%.1f" cy="%.1f" r="3"/>`, i%8, x(v[0]), y(v[1]))
			}
		}
	}
	b.WriteString(`</svg><ul class="legend">`)
	for i, l := range p.lines {
		fmt.Fprintf(&b, `<li><i class="c%d"></i>%s</li>`, i%8, Escape(l.name))
	}
	b.WriteString(`</ul></figure>`)
	return template.HTML(b.String())
}

// Escape makes a text one of HTML.
func Escape(s string) string { return template.HTMLEscapeString(s) }

// ticks are five round steps or so from lo to at least hi.
func ticks(lo, hi float64) (all []float64) {
	if hi <= lo {
		hi = lo + 1
	}
	step := math.Pow(10, math.Floor(math.Log10((hi-lo)/5)))
	for _, m := range []float64{1, 2, 5, 10} {
		if step*m*5 >= hi-lo {
			step *= m
			break
		}
	}
	for v := math.Floor(lo/step) * step; ; v += step {
		all = append(all, v)
		if v >= hi-step/1e6 {
			return all
		}
	}
}

// decades are the round numbers of a logarithmic axis.
func decades(lo, hi float64) (all []float64) {
	steps := []float64{1, 2, 5}
	if hi/lo > 1e3 {
		steps = []float64{1}
	}
	for d := math.Floor(math.Log10(lo)); math.Pow(10, d) <= hi; d++ {
		for _, m := range steps {
			all = append(all, m*math.Pow(10, d))
		}
	}
	return all
}

// tick writes a figure of an axis.
func tick(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.3gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}
