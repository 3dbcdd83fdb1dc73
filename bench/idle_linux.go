// SPDX-License-Identifier: MIT

package main

import (
	"errors"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/bench/proc"
)

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
	before, err := s.server.Do("status")
	if err != nil {
		return f, errs, err
	}
	if err := s.profile(true); err != nil {
		return f, errs, err
	}
	from, err := s.costs()
	if err != nil {
		return f, errs, err
	}
	s.fleet.Idle(o.duration)
	to, err := s.costs()
	if err != nil {
		return f, errs, err
	}
	rss, err := s.server.RSS() // before anything makes the server tidy up
	if err != nil {
		return f, errs, err
	}
	after, err := s.server.Do("status")
	if err != nil {
		return f, errs, err
	}
	hist, errs := s.fleet.Result()
	f = s.figures(hist, from, to)
	f.IdleCPU, f.ServerCPU = f.ServerCPU, 0
	f.traffic(0, &before, &after)
	f.HeartbeatsPerSec = float64(after.Stats.Transport.PacketsIn-before.Stats.Transport.PacketsIn) / to.at.Sub(from.at).Seconds()
	f.memory(s, rss)
	if errs.Sum() > 0 {
		s.explain(errs, after)
	}
	if err := s.profile(false); err != nil {
		return f, errs, err
	}
	tidy, err := s.server.Do("gc")
	if err != nil {
		return f, errs, err
	}
	if rss, err = s.server.RSS(); err != nil {
		return f, errs, err
	}
	f.RSSPerSessionGC = float64(rss-s.empty) / float64(o.Sessions)
	f.HeapPerSession = float64(int64(tidy.HeapAlloc)-int64(s.heap)) / float64(o.Sessions)
	return f, errs, nil
}
