// SPDX-License-Identifier: MIT

// Package chart has what reports of load tests are made of: a histogram of durations, line charts
// as inline SVG, and the style of a page around them.
package chart

import (
	_ "embed"
	"fmt"
	"html/template"
)

//go:embed style.css
var style string

// Style is the style sheet of a page with plots and tables, light or dark.
func Style() template.CSS { return template.CSS(style) }

// Short writes three digits at least, whole numbers whole, and nothing for next
// to nothing.
func Short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v < 0.001:
		return "0"
	}
	return fmt.Sprintf("%.3g", v)
}
