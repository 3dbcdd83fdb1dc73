// SPDX-License-Identifier: MIT

package swarm

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
)

// Report is what a run was like. Times are in milliseconds.
type Report struct {
	Began       time.Time      `json:"began"`
	Seconds     float64        `json:"seconds"`
	Interrupted bool           `json:"interrupted"` // by the context of Run
	Addrs       []string       `json:"addrs"`
	Carriers    map[string]int `json:"carriers"` // bots by the carrier of their last link
	Bots        int            `json:"bots"`
	Started     int64          `json:"started"`
	Connected   uint64         `json:"connected"` // bots that got in
	Failed      uint64         `json:"failed"`    // bots that ended with an error, or not in time

	Requests []Request         `json:"requests"`         // and what else was measured, by name
	Counts   map[string]uint64 `json:"counts,omitempty"` // of Bot.Count
	Errors   uint64            `json:"errors"`           // of all requests
	Failures []Failure         `json:"failures,omitempty"`
	Limits   []Limit           `json:"limits,omitempty"`

	Sessions     uint64 `json:"sessions"`
	Cuts         uint64 `json:"cuts"`
	Rebinds      uint64 `json:"rebinds"`
	Losses       uint64 `json:"losses"`      // links that were lost, the cut ones included
	Resumes      uint64 `json:"resumes"`     // links that carried a session on, nothing lost
	Resets       uint64 `json:"resets"`      // links that did, what the server had sent meanwhile lost
	Undelivered  uint64 `json:"undelivered"` // messages that no server is known to have accepted
	Dials        uint64 `json:"dials"`
	DialFailures uint64 `json:"dial_failures"`
	Sent         uint64 `json:"sent"`
	Received     uint64 `json:"received"`
	Dropped      uint64 `json:"dropped"` // messages that the bots had no handler for
	BytesIn      uint64 `json:"bytes_in"`
	BytesOut     uint64 `json:"bytes_out"`

	MemoryPerBot uint64   `json:"memory_per_bot_bytes,omitempty"` // the most of the process, for each bot
	CPU          float64  `json:"cpu_percent,omitempty"`          // the most in a second, of the cores that the process may use
	Late         float64  `json:"late_ms"`                        // the latest timer of the process
	Machine      string   `json:"machine"`
	Samples      []Sample `json:"samples"`
}

// Request is what was measured under one name.
type Request struct {
	Name      string        `json:"name"`
	Count     uint64        `json:"count"`
	Errors    uint64        `json:"errors"`
	PerSecond float64       `json:"per_second"`
	Mean      float64       `json:"mean_ms"`
	P50       float64       `json:"p50_ms"`
	P90       float64       `json:"p90_ms"`
	P95       float64       `json:"p95_ms"`
	P99       float64       `json:"p99_ms"`
	P999      float64       `json:"p999_ms"`
	Max       float64       `json:"max_ms"`
	Curve     []chart.Point `json:"curve,omitempty"`
}

// Failure is an error and how often it came.
type Failure struct {
	Where string `json:"where"` // a request, or "bot", "link", "session"
	Error string `json:"error"`
	Times uint64 `json:"times"`
}

// From this share of the processor on, in percent, or when its timers are so many milliseconds late,
// a swarm measures itself as well.
const (
	busy = 85
	late = 100
)

// Good reports whether every limit was kept and any bot got in at all.
func (r *Report) Good() bool {
	return r.Connected > 0 && !slices.ContainsFunc(r.Limits, func(l Limit) bool { return !l.Kept })
}

// Busy reports whether the swarm, or the machine, had too little of the processor: what it measured is
// then its own slowness too.
func (r *Report) Busy() bool { return r.CPU >= busy || r.Late >= late }

// counters are what a limit may name.
func (r *Report) counters() map[string]uint64 {
	return map[string]uint64{
		"bots": uint64(r.Bots), "connected": r.Connected, "failed": r.Failed, "sessions": r.Sessions, "cuts": r.Cuts, "rebinds": r.Rebinds,
		"losses": r.Losses, "resumes": r.Resumes, "resets": r.Resets, "undelivered": r.Undelivered, "dials": r.Dials,
		"dial_failures": r.DialFailures, "sent": r.Sent, "received": r.Received, "dropped": r.Dropped,
	}
}

func (s *swarm) report(samples []Sample, limits []limit, interrupted bool) *Report {
	seconds := since(s.began).Seconds()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Report{
		Began: s.began.UTC(), Seconds: round(seconds), Interrupted: interrupted, Addrs: s.cfg.Addrs, Carriers: maps.Clone(s.carriers),
		Bots: s.cfg.Bots, Started: s.started.Load(), Connected: s.entered.Load(), Failed: s.failed.Load() + uint64(s.playing.Load()),
		Requests: s.meters.requests(seconds), Counts: s.meters.counters(), Failures: s.meters.failures(),
		Sessions: s.opens.Load(), Cuts: s.cuts.Load(), Rebinds: s.totals.Rebinds, Losses: s.losses.Load(), Resumes: s.resumes.Load(),
		Resets: s.resets.Load(), Undelivered: s.undelivered.Load(), Dials: s.totals.Dials, DialFailures: s.totals.Failures,
		Sent: s.totals.Sent, Received: s.totals.Received, Dropped: s.totals.Dropped, BytesIn: s.totals.BytesIn, BytesOut: s.totals.BytesOut,
		Samples: samples, Machine: fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), runtime.Version()),
	}
	for _, q := range r.Requests {
		r.Errors += q.Errors
	}
	for _, one := range samples {
		r.MemoryPerBot = max(r.MemoryPerBot, one.Memory/uint64(r.Bots))
		r.CPU, r.Late = max(r.CPU, one.CPU), max(r.Late, one.Late)
	}
	for _, l := range limits {
		r.Limits = append(r.Limits, l.judge(r))
	}
	return r
}

// WriteText prints the report for a terminal.
func (r *Report) WriteText(out io.Writer) error {
	fmt.Fprintf(out, "%s\n\n", r.title())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "measured\tcount\terrors\t/s\tp50 ms\tp90\tp99\tp999\tmax\t")
	for _, q := range r.Requests {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t\n", q.Name, q.Count, q.Errors, chart.Short(q.PerSecond),
			chart.Short(q.P50), chart.Short(q.P90), chart.Short(q.P99), chart.Short(q.P999), chart.Short(q.Max))
	}
	_ = w.Flush()
	fmt.Fprintf(out, "\n%s\n%s\n", r.links(), r.self())
	for _, name := range slices.Sorted(maps.Keys(r.Counts)) {
		fmt.Fprintf(out, "%s %d\n", name, r.Counts[name])
	}
	for i, f := range r.Failures {
		if i == 10 {
			fmt.Fprintf(out, "and %d more kinds of errors\n", len(r.Failures)-i)
			break
		}
		fmt.Fprintf(out, "%d times, %s: %s\n", f.Times, f.Where, f.Error)
	}
	for _, l := range r.Limits {
		fmt.Fprintf(out, "%-6s  %s  (%s)\n", map[bool]string{true: "kept", false: "BROKEN"}[l.Kept], l.Limit, l.Value)
	}
	if r.Connected == 0 {
		fmt.Fprintln(out, "BROKEN  no bot got in")
	}
	return nil
}

// title says who played, where and for how long.
func (r *Report) title() string {
	s := fmt.Sprintf("%d of %d bots got in, %d failed; %s s on %s", r.Connected, r.Bots, r.Failed, chart.Short(r.Seconds), strings.Join(r.Addrs, " "))
	if r.Interrupted {
		s += "; interrupted"
	}
	return s
}

// links says what became of the links.
func (r *Report) links() string {
	return fmt.Sprintf("links: %d cuts, %d lost, %d resumed, %d reset, %d address changes; %d sessions, %d messages undelivered",
		r.Cuts, r.Losses, r.Resumes, r.Resets, r.Rebinds, r.Sessions, r.Undelivered)
}

// self says what the swarm itself needed.
func (r *Report) self() string {
	s := fmt.Sprintf("this process: at most %d MB, %d KB a bot, %.0f %% of its processor, timers %s ms late", r.MemoryPerBot*uint64(r.Bots)/1e6, r.MemoryPerBot/1000, r.CPU, chart.Short(r.Late))
	if r.Busy() {
		s += ": it was late itself, which is in the latencies; use more cores, more machines or fewer bots"
	}
	return s
}
