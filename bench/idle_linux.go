// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/proc"
)

func (o *options) idleFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 10_000, "how many players there are")
	fs.DurationVar(&o.duration, "duration", 20*time.Second, "length of the window")
	fs.DurationVar(&o.settle, "settle", 30*time.Second, "pause between the ramp and the window")
	fs.DurationVar(&o.Interval, "interval", 0, "heartbeat interval that the server dictates; 0: its default")
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
	if err := o.share(); err != nil {
		return err
	}
	p := peer{"lifeline", o.Config}
	r := o.report(p)
	f, errs, err := o.idleOnce(p)
	if err != nil {
		return err
	}
	r.add(f, errs)
	return o.print(r)
}

func (o *options) idleOnce(p peer) (f figures, errs load.Counts, err error) {
	s, err := o.open(p)
	if err != nil {
		return f, errs, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	s.fleet.Idle(o.settle)
	w, err := s.window(s.fleet.Idle, o.duration)
	if err != nil {
		return f, errs, err
	}
	f = s.figures(&w)
	f.IdleCPU, f.ServerCPU = f.ServerCPU, 0
	beats := w.after.Stats.Transport.PacketsIn - w.before.Stats.Transport.PacketsIn
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
