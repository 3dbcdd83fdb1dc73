// SPDX-License-Identifier: MIT

package metrics

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lifeline-go/lifeline/framework"
	"github.com/lifeline-go/lifeline/session"
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
	descs map[string]*prometheus.Desc // by name
	plain []plain                     // of framework.Stats
	below []plain                     // of transport.Stats
}

// plain is a number in a Stats.
type plain struct {
	field   int
	desc    *prometheus.Desc
	counter bool
	labels  []string
}

// New makes a collector for a registry of the game's own.
func New(srv *framework.Server) *Collector {
	c := &Collector{srv: srv, descs: map[string]*prometheus.Desc{}}
	for _, f := range families {
		c.descs[f.name] = prometheus.NewDesc(f.name, f.help, f.labels, nil)
	}
	c.plain = c.numbers(reflect.TypeFor[framework.Stats](), "session", "lifeline_")
	c.below = c.numbers(reflect.TypeFor[transport.Stats](), "transport", "lifeline_transport_")
	return c
}

// numbers makes a metric of every number that no family covers.
func (c *Collector) numbers(stats reflect.Type, layer, prefix string) (list []plain) {
	for i := range stats.NumField() {
		f := stats.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := plain{field: i}
		name := prefix + tag
		switch kind := f.Type.Kind(); {
		case covered[tag]:
			continue
		case kind == reflect.Uint64:
			p.counter, name = true, name+"_total"
		case kind != reflect.Int && kind != reflect.Int64:
			continue
		}
		if fate, ok := strings.CutPrefix(tag, "dropped_"); ok {
			name, p.labels = "lifeline_datagrams_dropped_total", []string{fate}
		}
		if byLayer[tag] {
			name, p.labels = "lifeline_"+tag+"_total", []string{layer}
		}
		if n, ok := named[tag]; ok {
			name = n
		}
		if c.descs[name] == nil {
			c.descs[name] = prometheus.NewDesc(name, f.Name+" of "+stats.String()+".", nil, nil)
		}
		p.desc = c.descs[name]
		list = append(list, p)
	}
	return list
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
	s := sink{c, to}
	s.numbers(c.plain, reflect.ValueOf(st))
	s.numbers(c.below, reflect.ValueOf(st.Transport))
	s.sessions(&st)
	s.rooms(&st)
	s.transport(&st.Transport)
}

// sink takes the metrics of one scrape.
type sink struct {
	c  *Collector
	to chan<- prometheus.Metric
}

func (s sink) count(name string, n uint64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(s.c.descs[name], prometheus.CounterValue, float64(n), labels...)
}

func (s sink) gauge(name string, v float64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(s.c.descs[name], prometheus.GaugeValue, v, labels...)
}

// histogram exports h in units of unit, as 1e-9 for nanoseconds in seconds.
func (s sink) histogram(name string, h transport.HistogramStats, unit float64, labels ...string) {
	cells, sum := make(map[float64]uint64, len(h.Bounds)), uint64(0)
	for i, bound := range h.Bounds {
		sum += h.Counts[i]
		cells[float64(bound)*unit] = sum
	}
	s.to <- prometheus.MustNewConstHistogram(s.c.descs[name], h.Count(), float64(h.Sum)*unit, cells, labels...)
}

// byName counts what has a name; what has not happened yet counts as 0, or the
// first time would not be seen to rise.
func (s sink) byName(name string, counts map[string]uint64, always ...string) {
	for _, key := range always {
		if _, ok := counts[key]; !ok {
			s.count(name, 0, key)
		}
	}
	for key, n := range counts {
		s.count(name, n, key)
	}
}

func (s sink) numbers(list []plain, v reflect.Value) {
	for _, p := range list {
		kind, n := prometheus.GaugeValue, 0.0
		if f := v.Field(p.field); p.counter {
			kind, n = prometheus.CounterValue, float64(f.Uint())
		} else {
			n = float64(f.Int())
		}
		s.to <- prometheus.MustNewConstMetric(p.desc, kind, n, p.labels...)
	}
}

func (s sink) sessions(st *framework.Stats) {
	for carrier := range st.Transport.Carriers {
		s.gauge("lifeline_sessions", float64(st.Attached[carrier]), "attached", carrier)
	}
	s.gauge("lifeline_sessions", float64(st.Detached), "detached", "none")
	s.byName("lifeline_refusals_total", st.Refusal, append(codes(refusing), "game")...)
	s.byName("lifeline_logins_turned_away_total", st.Full, "sessions", "logins", "draining", "undecided", "later", "address", "user")
	s.byName("lifeline_sessions_closed_total", st.Closes, codes(closing)...)
	s.byName("lifeline_links_lost_total", st.Lost, append(codes(cutting), "closed", "timeout", "away", "replaced")...)
	for where, n := range st.Stuck {
		s.gauge("lifeline_stuck", float64(n), where)
	}
	s.histogram("lifeline_rtt_seconds", st.RTT, 1e-9)
	s.histogram("lifeline_queued_packets", st.Queued, 1)
	s.gauge("lifeline_workers_busy", float64(st.Workers.Busy))
	s.gauge("lifeline_workers_limit", float64(st.Workers.Most))
	s.gauge("lifeline_workers_awaited", float64(st.Workers.Waiting))
}

func (s sink) rooms(st *framework.Stats) {
	for kind, r := range st.Rooms {
		s.gauge("lifeline_rooms", float64(r.Open), kind)
		s.gauge("lifeline_room_players", float64(r.Players), kind)
		s.count("lifeline_rooms_opened_total", r.Opened, kind)
		s.count("lifeline_rooms_refused_total", r.Refused, kind)
		s.count("lifeline_rooms_evicted_total", r.Evicted, kind)
		s.count("lifeline_room_ticks_total", r.Ticks, kind)
		s.count("lifeline_room_tick_overruns_total", r.Overruns, kind)
		s.count("lifeline_room_ticks_skipped_total", r.Skipped, kind)
	}
}

func (s sink) transport(st *transport.Stats) {
	for name, k := range st.Carriers {
		s.gauge("lifeline_links", float64(k.Open), name)
		s.count("lifeline_links_opened_total", k.Opened, name)
		s.count("lifeline_links_refused_total", k.Refused, name, "room")
		s.count("lifeline_links_refused_total", k.Crowded, name, "address")
	}
	handshakes := reflect.ValueOf(st.Handshakes)
	for i := range handshakes.NumField() {
		outcome, _, _ := strings.Cut(handshakes.Type().Field(i).Tag.Get("json"), ",")
		s.count("lifeline_handshakes_total", handshakes.Field(i).Uint(), outcome)
	}
	for i, l := range st.Loops {
		loop := strconv.Itoa(i)
		s.to <- prometheus.MustNewConstMetric(s.c.descs["lifeline_loop_busy_seconds_total"], prometheus.CounterValue, l.Busy.Seconds(), loop)
		s.count("lifeline_loop_batches_total", l.WakeUps, loop)
		s.count("lifeline_loop_tasks_total", l.Tasks, loop)
		s.count("lifeline_loop_packets_total", l.Packets, loop)
		s.histogram("lifeline_loop_lateness_seconds", l.Lateness, 1e-9, loop)
	}
}

// What may come as a refusal, at the end of a session, and at that of a link.
var (
	refusing = []session.Code{session.Busy, session.Unknown, session.Gone, session.Stale, session.Inconsistent, session.Version, session.Denied, session.AlreadyIn, session.Unsealed}
	closing  = []session.Code{session.ShuttingDown, session.Expired, session.Overflow, session.TooOld, session.Left, session.Internal, session.Inconsistent, session.Kicked, session.Banned, session.TakenOver, session.Policy}
	cutting  = []session.Code{session.Protocol, session.Gap, session.SlowReader, session.Overloaded}
)

func codes(list []session.Code) (names []string) {
	for _, code := range list {
		names = append(names, framework.CodeName(code))
	}
	return names
}
