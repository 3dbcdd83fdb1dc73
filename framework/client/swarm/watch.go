// SPDX-License-Identifier: MIT

package swarm

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// Sample is one second of a run.
type Sample struct {
	At        float64            `json:"at_s"` // since the start
	Playing   int64              `json:"playing"`
	Connected int64              `json:"connected"`
	Requests  uint64             `json:"requests"` // and all else that was measured, in this second
	Errors    uint64             `json:"errors"`
	Cuts      uint64             `json:"cuts"`
	Losses    uint64             `json:"losses"`
	Resumes   uint64             `json:"resumes"`
	Resets    uint64             `json:"resets"`
	P50       float64            `json:"p50_ms"`
	P99       float64            `json:"p99_ms"`
	Latency   map[string]Latency `json:"latency,omitempty"`
	Memory    uint64             `json:"memory_bytes,omitempty"` // of this process
	CPU       float64            `json:"cpu_percent,omitempty"`  // of the cores that it may use
	Late      float64            `json:"late_ms"`                // how late a timer was, in this process

	last bool // of the run
}

// Latency is that of one name in one second.
type Latency struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
}

// maxSamples bounds what a long run keeps. Beyond it, two become one.
const maxSamples = 600

// watch takes the samples. Owned by its goroutine until stop.
type watch struct {
	s       *swarm
	end     chan struct{}
	ended   chan struct{}
	samples []Sample
	every   int // seconds in a kept sample
	last    totals
	took    time.Time
}

// totals are counters at the time of a sample.
type totals struct {
	errors, cuts, losses, resumes, resets uint64
	cpu                                   time.Duration
}

func startWatch(s *swarm) *watch {
	w := &watch{s: s, end: make(chan struct{}), ended: make(chan struct{}), every: 1, took: s.began}
	_, w.last.cpu = usage()
	go w.run() // ends with stop
	return w
}

func (w *watch) run() {
	defer close(w.ended)
	for due := w.s.began.Add(time.Second); ; due = due.Add(time.Second) {
		select {
		case <-time.After(due.Sub(now())):
			w.take(max(since(due), 0), false)
		case <-w.end:
			w.take(0, true)
			return
		}
	}
}

// stop takes the last sample and returns all.
func (w *watch) stop() []Sample {
	close(w.end)
	<-w.ended
	return w.samples
}

func (w *watch) take(late time.Duration, last bool) {
	s := w.s
	t := now()
	one := Sample{At: round(t.Sub(s.began).Seconds()), Playing: s.playing.Load(), Connected: s.connected.Load(), Late: ms(late), last: last}
	is := totals{errors: s.meters.sample(&one), cuts: s.cuts.Load(), losses: s.losses.Load(), resumes: s.resumes.Load(), resets: s.resets.Load()}
	one.Memory, is.cpu = usage()
	if took := t.Sub(w.took); took > 0 {
		one.CPU = round(100 * float64(is.cpu-w.last.cpu) / float64(took) / float64(runtime.GOMAXPROCS(0)))
	}
	one.Errors, one.Cuts, one.Losses = is.errors-w.last.errors, is.cuts-w.last.cuts, is.losses-w.last.losses
	one.Resumes, one.Resets = is.resumes-w.last.resumes, is.resets-w.last.resets
	w.last, w.took = is, t
	if s.cfg.Progress != nil {
		s.cfg.Progress(one)
	}
	w.keep(one)
}

// keep adds a sample. It is the sum of some when the run is a long one.
func (w *watch) keep(one Sample) {
	if n := len(w.samples); n > 0 && int(one.At+0.5)%w.every != 0 {
		w.samples[n-1] = merge(w.samples[n-1], one)
		return
	}
	w.samples = append(w.samples, one)
	if len(w.samples) < maxSamples {
		return
	}
	for i := range maxSamples / 2 {
		w.samples[i] = merge(w.samples[2*i], w.samples[2*i+1])
	}
	w.samples, w.every = w.samples[:maxSamples/2], 2*w.every
}

// merge makes one of two neighbours: counters are added, and the worse time counts.
func merge(a, b Sample) Sample {
	b.Requests += a.Requests
	b.Errors += a.Errors
	b.Cuts += a.Cuts
	b.Losses += a.Losses
	b.Resumes += a.Resumes
	b.Resets += a.Resets
	b.P50, b.P99, b.Late = max(a.P50, b.P50), max(a.P99, b.P99), max(a.Late, b.Late)
	b.Memory, b.CPU = max(a.Memory, b.Memory), max(a.CPU, b.CPU)
	for name, l := range a.Latency {
		m := b.Latency[name]
		if b.Latency == nil {
			b.Latency = map[string]Latency{}
		}
		b.Latency[name] = Latency{max(l.P50, m.P50), max(l.P99, m.P99)}
	}
	return b
}

// usage is the memory and the processor time of this process, zero on systems that do not tell.
func usage() (memory uint64, cpu time.Duration) {
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		var total, resident uint64
		_, _ = fmt.Sscan(string(b), &total, &resident)
		memory = resident * uint64(os.Getpagesize())
	}
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return memory, 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return memory, 0
	}
	var user, system int64
	_, _ = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	return memory, time.Duration(user+system) * (time.Second / 100)
}
