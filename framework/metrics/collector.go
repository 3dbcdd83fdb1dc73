// SPDX-License-Identifier: MIT

package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/transport"
)

// Handler serves the metrics of srv, of the Go runtime and of the process from
// a registry of its own.
func Handler(srv *framework.Server) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(New(srv), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// Collector reads the counters of a server whenever it is scraped. Immutable.
type Collector struct {
	srv   *framework.Server
	descs []*prometheus.Desc // of families, in their order
}

// New makes a collector for a registry of the game's own.
func New(srv *framework.Server) *Collector {
	c := &Collector{srv: srv}
	for _, f := range families {
		c.descs = append(c.descs, prometheus.NewDesc(f.name, f.help, f.labels, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	st := c.srv.Stats()
	for i, f := range families {
		desc := c.descs[i]
		if f.values != nil {
			f.values(&st, func(v float64, labels ...string) {
				to <- prometheus.MustNewConstMetric(desc, f.kind, v, labels...)
			})
			continue
		}
		f.histograms(&st, func(h transport.HistogramStats, unit float64, labels ...string) {
			to <- constHistogram(desc, h, unit, labels)
		})
	}
}

func constHistogram(desc *prometheus.Desc, h transport.HistogramStats, unit float64, labels []string) prometheus.Metric {
	cells, sum := make(map[float64]uint64, len(h.Bounds)), uint64(0)
	for i, bound := range h.Bounds {
		sum += h.Counts[i]
		cells[float64(bound)*unit] = sum
	}
	return prometheus.MustNewConstHistogram(desc, h.Count(), float64(h.Sum)*unit, cells, labels...)
}
