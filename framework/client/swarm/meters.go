// SPDX-License-Identifier: MIT

package swarm

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/lifeline-go/lifeline/framework/client"
	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

// Names that a bot makes up as it goes would be without end: what is beyond is counted as others.
const (
	maxNames  = 64
	maxErrors = 32
	others    = "(others)"
)

// meters are what the bots measure. The zero value works.
type meters struct {
	mu     sync.Mutex // guards the rest
	named  map[string]*meter
	counts map[string]uint64
	errors map[errorKey]uint64
}

// meter is what is known of one name. Guarded by meters.mu.
type meter struct {
	all    chart.Histogram
	recent chart.Histogram // since the last sample
	errors uint64
}

type errorKey struct{ where, text string }

func (m *meters) meterLocked(name string) *meter {
	k := m.named[name]
	if k == nil {
		if m.named == nil {
			m.named = map[string]*meter{}
		}
		if len(m.named) >= maxNames && name != others {
			return m.meterLocked(others)
		}
		k = new(meter)
		m.named[name] = k
	}
	return k
}

func (m *meters) measure(name string, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.meterLocked(name)
	k.all.Add(d)
	k.recent.Add(d)
}

// errored counts a request that failed.
func (m *meters) errored(name string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meterLocked(name).errors++
	m.failedLocked(name, err)
}

// failed notes an error of something that is not measured.
func (m *meters) failed(where string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failedLocked(where, err)
}

func (m *meters) failedLocked(where string, err error) {
	text := "no reason given"
	var coded *client.Error
	if errors.As(err, &coded) {
		text = coded.Error()
	} else if err != nil {
		text = err.Error()
	}
	if m.errors == nil {
		m.errors = map[errorKey]uint64{}
	}
	k := errorKey{where, text}
	if _, known := m.errors[k]; !known && len(m.errors) >= maxErrors {
		k = errorKey{others, ""}
	}
	m.errors[k]++
}

func (m *meters) count(name string, n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts == nil {
		m.counts = map[string]uint64{}
	}
	if _, known := m.counts[name]; !known && len(m.counts) >= maxNames {
		name = others
	}
	m.counts[name] += n
}

// sample moves what was measured since the last call into s, and returns the sum of all errors.
func (m *meters) sample(s *Sample) (failed uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all chart.Histogram
	for name, k := range m.named {
		failed += k.errors
		if n := k.recent.Count(); n > 0 {
			if s.Latency == nil {
				s.Latency = map[string]Latency{}
			}
			s.Latency[name] = Latency{P50: ms(k.recent.Quantile(0.5)), P99: ms(k.recent.Quantile(0.99))}
			s.Requests += n
			all.Merge(&k.recent)
			k.recent.Reset()
		}
	}
	s.P50, s.P99 = ms(all.Quantile(0.5)), ms(all.Quantile(0.99))
	return failed
}

// requests are the rows of the report, the most frequent first.
func (m *meters) requests(seconds float64) (rows []Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.named)) {
		k := m.named[name]
		q := func(q float64) float64 { return ms(k.all.Quantile(q)) }
		rows = append(rows, Request{
			Name: name, Count: k.all.Count(), Errors: k.errors, PerSecond: round(float64(k.all.Count()) / seconds),
			Mean: ms(k.all.Mean()), P50: q(0.5), P90: q(0.9), P95: q(0.95), P99: q(0.99), P999: q(0.999), Max: ms(k.all.Max()),
			Curve: k.all.Curve(),
		})
	}
	slices.SortStableFunc(rows, func(a, b Request) int { return cmp.Compare(b.Count, a.Count) })
	return rows
}

// failures are the errors, the most frequent first.
func (m *meters) failures() (list []Failure) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, n := range m.errors {
		list = append(list, Failure{k.where, k.text, n})
	}
	slices.SortFunc(list, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.Where, b.Where), cmp.Compare(a.Error, b.Error))
	})
	return list
}

func (m *meters) counters() map[string]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.counts)
}

func ms(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }

// round leaves three decimals.
func round(v float64) float64 { return float64(int64(v*1000+0.5)) / 1000 }
