// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"

	"github.com/lifeline-go/lifeline/bench/load"
)

// echo runs the servers in turn and prints what they cost.
func echo(o *options) error {
	peers, err := o.peers()
	if err != nil {
		return err
	}
	defer o.tidy()
	var reports []*report
	for _, p := range peers {
		r := o.report(p)
		r.Size, r.Window = o.Config.Size, o.Window
		reports = append(reports, r)
	}
	for range o.runs {
		for i, p := range peers {
			f, errs, err := o.echoOnce(p, reports[i])
			if err != nil {
				return fmt.Errorf("%s: %w", p.kind, err)
			}
			reports[i].add(f, errs)
		}
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
	f.Retransmits = float64(s.retransmits() - resent)
	return f, w.errs, nil
}
