// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/server"
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
	all, ratios := map[string]any{}, map[string]ratio{}
	for i, p := range peers {
		all[p.name(peers[0])] = reports[i]
		if i > 0 {
			ratios[p.name(peers[0])] = compare(reports[0], reports[i])
		}
	}
	if o.json {
		if len(peers) == 2 {
			all["ratio"] = ratios[peers[1].name(peers[0])]
		} else {
			all["ratios"] = ratios
		}
		return writeJSON(o.out, all)
	}
	if err := table(o.out, reports...); err != nil {
		return err
	}
	for _, p := range peers[1:] {
		q := ratios[p.name(peers[0])]
		fmt.Fprintf(o.out, "\nlifeline/%s, run by run: server CPU a message %.2f [%.2f - %.2f], throughput %.2f, p50 %.2f, p99 %.2f\n",
			p.name(peers[0]), q.ServerCPUPerMsg, q.LowHigh[0], q.LowHigh[1], q.MessagesPerSecond, q.P50, q.P99)
	}
	return nil
}

// settleIn is load that is not measured: asking the server for its status
// held everybody up.
const settleIn = 100 * time.Millisecond

func (o *options) echoOnce(p peer, r *report) (f figures, errs load.Counts, err error) {
	s, err := o.open(p)
	if err != nil {
		return f, errs, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if p.kind == "lifeline" {
		if err := s.profile(true); err != nil {
			return f, errs, err
		}
	}
	s.party.Play(o.warmup)
	before, err := s.server.Do("status")
	if err != nil {
		return f, errs, err
	}
	s.party.Reset()
	s.party.Play(settleIn)
	early, _ := s.party.Result()
	uncounted := early.Count()
	resent := s.retransmits()
	s.party.Reset()
	from, err := s.costs()
	if err != nil {
		return f, errs, err
	}
	s.party.Play(o.duration)
	to, err := s.costs()
	if err != nil {
		return f, errs, err
	}
	hist, errs := s.party.Result()
	after, err := s.server.Do("status")
	if err != nil {
		return f, errs, err
	}
	if errs.Sum() > 0 {
		s.explain(errs, after)
	}
	r.Curve = hist.Curve()
	f = s.figures(hist, from, to)
	f.traffic(hist.Count()+uncounted, &before, &after)
	f.Retransmits = float64(s.retransmits() - resent)
	rss, err := s.server.RSS()
	if err != nil {
		return f, errs, err
	}
	f.memory(s, rss)
	if p.kind == "lifeline" {
		err = s.profile(false)
	}
	return f, errs, err
}

// retransmits are those of the players, if they tell.
func (s *stage) retransmits() uint64 {
	if s.fleet == nil {
		return 0
	}
	return s.fleet.Retransmits()
}

// figures are those of time.
func (s *stage) figures(hist *load.Histogram, from, to costs) figures {
	window, n := to.at.Sub(from.at), float64(hist.Count())
	server, client, all := to.server-from.server, to.client-from.client, to.machine.Since(from.machine)
	f := figures{
		Messages: n, MessagesPerSecond: n / window.Seconds(),
		P50:       float64(hist.Quantile(0.5)) / 1e3,
		P99:       float64(hist.Quantile(0.99)) / 1e3,
		ServerCPU: percent(server, window),
		ClientCPU: percent(client, window),
		OthersCPU: percent(max(all.Busy-server-client, 0), window),
		Ramp:      s.ramp.Seconds(),
		Steal:     percent(all.Steal, max(all.Total, 1)),
	}
	if n > 0 {
		f.ServerCPUPerMsg = float64(server) / 1e3 / n
	}
	return f
}

// traffic are the figures that the server keeps, of n messages.
func (f *figures) traffic(n uint64, before, after *server.Status) {
	f.Goroutines = float64(after.Goroutines)
	if n == 0 {
		return
	}
	per := func(a, b uint64) float64 { return float64(b-a) / float64(n) }
	f.AllocsPerMessage = per(before.Mallocs, after.Mallocs)
	a, b := before.Stats.Transport, after.Stats.Transport
	f.DatagramsInPerMsg = per(a.DatagramsIn, b.DatagramsIn)
	f.DatagramsOutPerMsg = per(a.DatagramsOut, b.DatagramsOut)
	f.WakeUpsPerMsg = per(a.WakeUps, b.WakeUps)
}

func (f *figures) memory(s *stage, rss int64) {
	f.RSS = float64(rss)
	f.RSSPerSession = float64(rss-s.empty) / float64(s.o.Sessions)
}
