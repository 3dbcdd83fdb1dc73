// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
)

func (o *options) overloadFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 1000, "how many players there are")
	fs.IntVar(&o.Config.Size, "size", 64, "bytes of a payload")
	fs.DurationVar(&o.Work, "work", 20*time.Microsecond, "processor time that the handler takes, so that the server is the limit and not the players")
	fs.Float64Var(&o.overload, "times", 2, "how many times the peak is asked for")
	fs.IntVar(&o.Backlog, "backlog", 4, "requests that a player may have unanswered: who waits for so many skips the next")
	fs.DurationVar(&o.duration, "duration", 5*time.Second, "length of the overload, and of what comes before")
	fs.DurationVar(&o.warmup, "warmup", time.Second, "load before the peak is measured")
	fs.IntVar(&o.runs, "runs", 3, "runs, each with a server of its own")
	o.coreFlags(fs)
}

// overload finds out what the server does at most, asks for more, and looks how
// much of that gets through and how soon all is well afterwards.
func overload(o *options) error {
	return o.alone(func(p peer, _ *report) (figures, load.Counts, error) { return o.overloadOnce(p) })
}

func (o *options) overloadOnce(p peer) (f figures, errs load.Counts, err error) {
	s, err := o.open(p)
	if err != nil {
		return f, errs, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	rate := func(d time.Duration) float64 {
		s.fleet.Reset()
		start := time.Now()
		s.fleet.Play(d)
		hist, _ := s.fleet.Result()
		return float64(hist.Count()) / time.Since(start).Seconds()
	}
	s.fleet.Play(o.warmup)
	start, err := s.costs()
	if err != nil {
		return f, errs, err
	}
	f.Peak = rate(o.duration)
	before, err := s.server.Do("status")
	if err != nil {
		return f, errs, err
	}
	from, err := s.costs()
	if err != nil {
		return f, errs, err
	}
	hist, _ := s.fleet.Result()
	peak := s.times(hist, start, from)
	f.PeakServerCPU, f.PeakCPUPerMsg = peak.ServerCPU, peak.ServerCPUPerMsg
	s.fleet.SetRate(o.overload * f.Peak)
	f.Goodput = rate(o.duration)
	to, err := s.costs()
	if err != nil {
		return f, errs, err
	}
	hist, errs = s.fleet.Result()
	refused := errs.Full // that is what the players' own buffers are for
	cost := s.times(hist, from, to)
	f.ServerCPUPerMsg = cost.ServerCPUPerMsg
	f.ServerCPU, f.ClientCPU, f.OthersCPU, f.Steal = cost.ServerCPU, cost.ClientCPU, cost.OthersCPU, cost.Steal
	if f.Peak > 0 { // else the machine stood still
		f.GoodputShare, f.RefusedShare = f.Goodput/f.Peak, float64(refused)/(o.overload*f.Peak*o.duration.Seconds())
	}
	f.Recovered = ms(o.recover(s, f.Peak/2))
	after, err := s.server.Do("status")
	if err != nil {
		return f, errs, err
	}
	f.ResentByServer = float64(after.Stats.Transport.Retransmits - before.Stats.Transport.Retransmits)
	_, errs = s.fleet.Result()
	return f, errs, nil
}

// recover plays at half of the peak until a request is answered in 50 ms again,
// 99 times of 100. It gives up after ten seconds.
func (o *options) recover(s *stage, rate float64) time.Duration {
	s.fleet.SetRate(rate)
	start := time.Now()
	for time.Since(start) < 10*time.Second {
		s.fleet.Reset()
		s.fleet.Play(50 * time.Millisecond)
		if hist, _ := s.fleet.Result(); hist.Count() > 0 && hist.Quantile(0.99) < 50*time.Millisecond {
			break
		}
	}
	return time.Since(start)
}
