// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/proc"
	"github.com/lifeline-go/lifeline/session"
)

func (o *options) idleFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 10_000, "how many players there are")
	fs.DurationVar(&o.duration, "duration", 20*time.Second, "length of the window")
	fs.DurationVar(&o.settle, "settle", 30*time.Second, "pause between the ramp and the window")
	fs.DurationVar(&o.Interval, "interval", 0, "heartbeat interval that the server dictates; 0: its default")
	fs.DurationVar(&o.Timeout, "timeout", 0, "silence after which the server takes a link for dead; 0: its default")
	fs.StringVar(&o.versus, "versus", "", "run other servers as well, in turn, with as many requests a second as lifeline has heartbeats: some of "+strings.Join(foreign(), ", "))
	fs.StringVar(&o.rates, "beats", "100,500", "with -versus: heartbeats a second, of as many players as it takes; several with commas")
	fs.IntVar(&o.runs, "runs", 1, "runs, each with a server of its own")
	o.coresFlags(fs, -1, -1)
}

// sharing is how many sockets do for more sessions than there may be files.
const sharing = 2000

// share makes sessions share sockets when there may not be one for each.
func (o *options) share() error {
	limit, err := proc.OpenFiles()
	if err != nil {
		return err
	}
	if o.Config.Carrier != "tcp" && o.Sockets == 0 && o.Sessions > limit-1000 {
		o.Sockets = sharing
	}
	return nil
}

// idle opens sessions that do nothing but live, and prints what that costs.
// Nobody is pinned: the server has a loop for every core, as in production.
func idle(o *options) error {
	if o.versus != "" {
		return o.idleBeside()
	}
	if err := o.share(); err != nil {
		return err
	}
	return o.alone(func(p peer, _ *report) (figures, load.Counts, error) { return o.idleOnce(p) })
}

// idleBeside compares a server at rest with others. They know no heartbeats, so their
// players ask for as much, and are answered.
func (o *options) idleBeside() error {
	beats, err := numbers("beats", o.rates)
	if err != nil {
		return err
	}
	cfg, err := session.Config{Interval: o.Interval}.WithDefaults()
	if err != nil {
		return err
	}
	defer o.removeBuilt()
	var all []*report
	for _, rate := range beats {
		o.Sessions = max(int(rate*cfg.Interval.Seconds()), 1)
		if err := o.share(); err != nil {
			return err
		}
		peers := []peer{{"lifeline", o.Config}}
		reports := []*report{o.report(peers[0])}
		for _, name := range strings.Split(o.versus, ",") {
			p, err := o.named(name)
			if err != nil {
				return err
			}
			p.load.Rate, p.load.Size = rate, beatSize
			peers, reports = append(peers, p), append(reports, o.report(p))
		}
		if err := o.inTurn(reports, func(i int) (figures, load.Counts, error) { return o.idleOnce(peers[i]) }); err != nil {
			return err
		}
		for _, r := range reports[1:] {
			r.Over = compare(reports[0], r)
		}
		all = append(all, reports...)
		if o.json {
			continue
		}
		if err := table(o.out, reports...); err != nil {
			return err
		}
		for _, r := range reports[1:] {
			fmt.Fprintf(o.out, "\n%g a second: lifeline/%s, run by run: CPU at rest %v\n\n", rate, r.Server, r.Over.IdleCPU)
		}
	}
	if o.json {
		return writeJSON(o.out, all)
	}
	return nil
}

// beatSize is what a heartbeat has: the header of a packet.
const beatSize = 8

func (o *options) idleOnce(p peer) (f figures, errs load.Counts, err error) {
	s, err := o.open(p)
	if err != nil {
		return f, errs, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	play := s.party.Play // another server's
	if p.kind == "lifeline" {
		play = s.fleet.Idle
	}
	play(o.settle)
	w, err := s.window(play, o.duration)
	if err != nil {
		return f, errs, err
	}
	f = s.figures(&w)
	f.IdleCPU, f.ServerCPU = f.ServerCPU, 0
	beats := w.messages
	if p.kind == "lifeline" {
		beats = w.after.Stats.Transport.PacketsIn - w.before.Stats.Transport.PacketsIn
	}
	f.HeartbeatsPerSec = float64(beats) / (w.seconds() + settleIn.Seconds())
	collected, err := s.server.Do("gc")
	if err != nil {
		return f, errs, err
	}
	rss, err := s.server.RSS()
	if err != nil {
		return f, errs, err
	}
	f.RSSPerSessionGC = float64(rss-s.empty) / float64(o.Sessions)
	f.HeapPerSession = float64(int64(collected.HeapAlloc)-int64(s.heap)) / float64(o.Sessions)
	return f, w.errs, nil
}
