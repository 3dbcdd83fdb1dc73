// SPDX-License-Identifier: MIT

package swarm

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// limit is one of Config.Limits.
type limit struct {
	text   string
	figure string // a counter, or the name of what is measured and one of its figures
	op     string
	want   float64 // milliseconds, a number, or percent
	unit   string  // "ms", "" or "%"
}

// Limit is what became of one of Config.Limits.
type Limit struct {
	Limit string `json:"limit"`
	Value string `json:"value"` // as measured
	Kept  bool   `json:"kept"`
}

var limitForm = regexp.MustCompile(`^(.*?[^\s<>=])\s*(<=|>=|<|>|=)\s*(\S+)$`)

func parseLimits(texts []string) (list []limit, err error) {
	for _, text := range texts {
		l, err := parseLimit(text)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

func parseLimit(text string) (limit, error) {
	m := limitForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return limit{}, fmt.Errorf("swarm: limit %q is none like \"move p99 < 50ms\" or \"resets = 0\"", text)
	}
	l := limit{text: text, figure: strings.Join(strings.Fields(m[1]), " "), op: m[2]}
	_, figure, named := cutLast(l.figure)
	timed := named && figure != "count" && figure != "errors"
	switch {
	case named && timeOf[figure] == nil && figure != "count" && figure != "errors":
		return l, fmt.Errorf("swarm: limit %q: %q is none of p50, p90, p95, p99, p999, max, mean, count, errors", text, figure)
	case strings.HasSuffix(m[3], "%"):
		l.unit = "%"
		if figure != "errors" && l.figure != "errors" {
			return l, fmt.Errorf("swarm: limit %q: only errors have a share", text)
		}
	case timed:
		l.unit = "ms"
		d, err := time.ParseDuration(m[3])
		if err != nil {
			return l, fmt.Errorf("swarm: limit %q: %q is no duration like 50ms", text, m[3])
		}
		l.want = float64(d) / float64(time.Millisecond)
		return l, nil
	}
	want, err := strconv.ParseFloat(strings.TrimSuffix(m[3], "%"), 64)
	if err != nil {
		return l, fmt.Errorf("swarm: limit %q: %q is no number", text, m[3])
	}
	l.want = want
	return l, nil
}

// cutLast splits a name of several words before its last one.
func cutLast(s string) (name, last string, found bool) {
	i := strings.LastIndexByte(s, ' ')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

var timeOf = map[string]func(*Request) float64{
	"p50":  func(r *Request) float64 { return r.P50 },
	"p90":  func(r *Request) float64 { return r.P90 },
	"p95":  func(r *Request) float64 { return r.P95 },
	"p99":  func(r *Request) float64 { return r.P99 },
	"p999": func(r *Request) float64 { return r.P999 },
	"max":  func(r *Request) float64 { return r.Max },
	"mean": func(r *Request) float64 { return r.Mean },
}

// judge holds the limit against a report. What was not measured is not kept.
func (l limit) judge(r *Report) Limit {
	value, found := l.value(r)
	if !found {
		return Limit{Limit: l.text, Value: "not measured"}
	}
	kept := false
	switch l.op {
	case "<":
		kept = value < l.want
	case "<=":
		kept = value <= l.want
	case ">":
		kept = value > l.want
	case ">=":
		kept = value >= l.want
	case "=":
		kept = value == l.want
	}
	text := strconv.FormatFloat(round(value), 'f', -1, 64)
	if l.unit != "" {
		text += " " + l.unit
	}
	return Limit{l.text, text, kept}
}

func (l limit) value(r *Report) (v float64, found bool) {
	name, figure, named := cutLast(l.figure)
	if named {
		i := slices.IndexFunc(r.Requests, func(q Request) bool { return q.Name == name })
		if i < 0 {
			return 0, false
		}
		q := &r.Requests[i]
		switch {
		case figure == "count":
			return float64(q.Count), true
		case figure == "errors":
			return share(l.unit, q.Errors, q.Count), true
		}
		return timeOf[figure](q), q.Count > 0
	}
	if l.figure == "errors" {
		var all uint64
		for _, q := range r.Requests {
			all += q.Count
		}
		return share(l.unit, r.Errors, all), true
	}
	if n, ok := r.counters()[l.figure]; ok {
		return float64(n), true
	}
	n, ok := r.Counts[l.figure]
	return float64(n), ok
}

// share is how many failed, or which part of all.
func share(unit string, failed, good uint64) float64 {
	if unit != "%" || failed == 0 {
		return float64(failed)
	}
	return 100 * float64(failed) / float64(failed+good)
}
