// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
)

func (o *options) echoFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 1000, "how many players there are")
	fs.IntVar(&o.Config.Size, "size", 64, "bytes of a payload")
	fs.IntVar(&o.Window, "window", 1, "requests that a session may have unanswered")
	fs.Float64Var(&o.Rate, "rate", 0, "requests a second, whether answers come or not; 0: as fast as answers come")
	fs.DurationVar(&o.Work, "work", 0, "processor time that lifeline's handler takes for a request")
	fs.DurationVar(&o.duration, "duration", 5*time.Second, "length of a window")
	fs.DurationVar(&o.warmup, "warmup", time.Second, "load before the window")
	fs.IntVar(&o.runs, "runs", 3, "runs, each with a server of its own")
	fs.StringVar(&o.versus, "versus", "", "run other servers as well, in turn: all, or some of "+beside())
	o.coreFlags(fs)
}

// echo runs the servers in turn and prints what they cost.
func echo(o *options) error {
	peers, err := o.peers()
	if err != nil {
		return err
	}
	defer o.removeBuilt()
	var reports []*report
	for _, p := range peers {
		r := o.report(p)
		r.Size, r.Window = o.Config.Size, o.Window
		reports = append(reports, r)
	}
	err = o.inTurn(reports, func(i int) (figures, load.Counts, error) { return o.echoOnce(peers[i], reports[i]) })
	if err != nil {
		return err
	}
	if len(peers) == 1 {
		if o.json {
			return writeJSON(o.out, reports[0])
		}
		return table(o.out, reports...)
	}
	all := map[string]*report{}
	for i, p := range peers {
		if i > 0 {
			reports[i].Over = compare(reports[0], reports[i])
		}
		all[p.name(peers[0])] = reports[i]
	}
	if o.json {
		return writeJSON(o.out, all)
	}
	if err := table(o.out, reports...); err != nil {
		return err
	}
	for i, p := range peers[1:] {
		q := reports[i+1].Over
		fmt.Fprintf(o.out, "\nlifeline/%s, run by run: server CPU a message %v, throughput %v, p50 %v, p99 %v\n",
			p.name(peers[0]), q.ServerCPUPerMsg, q.MessagesPerSecond, q.P50, q.P99)
	}
	return nil
}

// inTurn has every report get its runs, one after the other in each round, so that all have
// the same neighbors.
func (o *options) inTurn(reports []*report, once func(i int) (figures, load.Counts, error)) error {
	for range o.runs {
		for i, r := range reports {
			f, errs, err := once(i)
			if err != nil {
				return fmt.Errorf("%s: %w", r.Server, err)
			}
			r.add(f, errs)
		}
	}
	return nil
}

func (o *options) echoOnce(p peer, r *report) (f figures, errs load.Counts, err error) {
	s, err := o.open(p)
	if err != nil {
		return f, errs, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	s.party.Play(o.warmup)
	resent := s.retransmits()
	w, err := s.window(s.party.Play, o.duration)
	if err != nil {
		return f, errs, err
	}
	r.Curve = w.hist.Curve()
	f = s.figures(&w)
	f.P999 = us(w.hist.Quantile(0.999))
	f.lateness(s.party.Lateness())
	f.Retransmits = float64(s.retransmits() - resent)
	return f, w.errs, nil
}
