// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/server"
)

func (o *options) stormFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 50_000, "how many players there are")
	fs.Float64Var(&o.Rate, "rate", 5000, "numbered requests a second of all players, before, during and after the cut")
	fs.Float64Var(&o.Pushes, "pushes", 5000, "numbered messages a second that the server sends unasked")
	fs.DurationVar(&o.warmup, "warmup", 3*time.Second, "traffic before the cut")
	fs.DurationVar(&o.duration, "limit", 50*time.Second, "how long everything may take until it is in order again")
	fs.IntVar(&o.runs, "runs", 1, "runs, each with a server of its own")
}

// storm cuts the links of all players at once, under traffic both ways, and
// watches them come back by the rules of session.Client. Nobody is pinned.
func storm(o *options) error {
	if err := o.share(); err != nil {
		return err
	}
	o.Return, o.Route, o.Game, o.Options.Size = true, "count", true, 16
	return o.alone(o.stormOnce)
}

func (o *options) stormOnce(p peer, r *report) (f figures, errs load.Counts, err error) {
	s, err := o.open(p)
	if err != nil {
		return f, errs, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if _, err := s.server.Do("push"); err != nil {
		return f, errs, err
	}
	s.fleet.Play(o.warmup)
	if err := s.profile(true); err != nil {
		return f, errs, err
	}
	s.fleet.Reset()
	before, err := s.server.Do("status")
	if err != nil {
		return f, errs, err
	}
	from, err := s.costs()
	if err != nil {
		return f, errs, err
	}
	if err := s.fleet.Cut(); err != nil {
		return f, errs, err
	}
	if err := s.fleet.Regain(o.duration); err != nil {
		st, _ := s.server.Do("status")
		_, errs = s.fleet.Result()
		s.explain(errs, st)
		return f, errs, errors.Join(err, s.profile(false))
	}
	to, err := s.costs()
	if err != nil {
		return f, errs, err
	}
	if err := s.profile(false); err != nil {
		return f, errs, err
	}
	soon, err := s.server.Do("status")
	if err != nil {
		return f, errs, err
	}
	after, err := s.settleStorm(o.duration)
	if err != nil {
		return f, errs, err
	}
	caught := time.Since(from.at)
	hist, errs := s.fleet.Result()
	f = s.times(hist, from, to)
	f.MessagesPerSecond, f.ServerCPUPerMsg = 0, 0 // of no window
	back, resets := s.fleet.Returns()
	n := float64(back.Count())
	f.ResumesPerSec = n / back.Max().Seconds()
	f.ResumeP50, f.ResumeP99, f.ResumeSlowest = ms(back.Quantile(0.5)), ms(back.Quantile(0.99)), ms(back.Max())
	f.CPUPerResume = float64((to.server - from.server).Microseconds()) / n
	f.DatagramsIn = float64(soon.Stats.Transport.DatagramsIn-before.Stats.Transport.DatagramsIn) / n
	f.DatagramsOut = float64(soon.Stats.Transport.DatagramsOut-before.Stats.Transport.DatagramsOut) / n
	f.CaughtUp = ms(caught)
	f.numbers(s.fleet, &after)
	f.StreamsReset, f.Goroutines = float64(resets), float64(after.Goroutines)
	r.Curve = back.Curve()
	if resumed := after.Stats.Resumed - before.Stats.Resumed; resumed < uint64(o.Sessions) {
		return f, errs, fmt.Errorf("the server saw %d of %d players come back", resumed, o.Sessions)
	}
	if errs.Sum() > 0 || f.MessagesLost+f.MessagesTwice > 0 {
		s.explain(errs, after)
	}
	return f, errs, nil
}

// settleStorm waits until every number has arrived, or until it will not any more.
func (s *stage) settleStorm(limit time.Duration) (st server.Status, err error) {
	if err := s.fleet.Finish(limit); err != nil {
		st, _ := s.server.Do("status")
		_, errs := s.fleet.Result()
		s.explain(errs, st)
		return st, err
	}
	if _, err := s.server.Do("hush"); err != nil {
		return st, err
	}
	for end := time.Now().Add(limit); ; {
		s.fleet.Idle(100 * time.Millisecond)
		if st, err = s.server.Do("status"); err != nil {
			return st, err
		}
		if s.fleet.Pushed() >= st.Game.Pushed || time.Now().After(end) {
			return st, nil
		}
	}
}

// numbers says whether everything arrived once.
func (f *figures) numbers(fleet *load.Fleet, st *server.Status) {
	g := &st.Game
	f.NumberedUp, f.NumberedDown = float64(g.Counted), float64(g.Pushed)
	f.MessagesTwice = float64(g.Repeated)
	f.MessagesLost = float64(g.Missing + max(g.Pushed, fleet.Pushed()) - fleet.Pushed())
}
