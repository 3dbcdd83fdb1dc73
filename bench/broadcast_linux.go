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

func (o *options) broadcastFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "members", 1000, "players in the room")
	fs.Float64Var(&o.Room, "rate", 20, "ticks a second; each sends one message to all members")
	fs.IntVar(&o.Config.Size, "size", 64, "bytes of the message's payload, and of the echo beside it")
	fs.DurationVar(&o.duration, "duration", 5*time.Second, "length of a window")
	fs.DurationVar(&o.warmup, "warmup", time.Second, "load before the window")
	fs.IntVar(&o.runs, "runs", 3, "runs, each with a server of its own")
	o.coreFlags(fs)
}

// broadcast measures a room that tells all of its members something at every
// tick, and in turn with it an echo of the same players.
func broadcast(o *options) error {
	p := peer{"lifeline", o.Config}
	room, both := o.report(p), o.report(p)
	both.Server = "lifeline echo"
	room.Server = "lifeline broadcast"
	o.Options.Size, o.Game = o.Config.Size, true
	ticks := o.Room
	for range o.runs {
		o.Room = ticks
		f, errs, err := o.roomOnce(p, room, nil)
		if err != nil {
			return err
		}
		room.add(f, errs)
		o.Room = 0
		if f, errs, err = o.echoOnce(p, both); err != nil {
			return err
		}
		both.add(f, errs)
	}
	var costs []float64
	for i := range room.Each {
		costs = append(costs, room.Each[i].CPUPerDelivery/both.Each[i].ServerCPUPerMsg)
	}
	q := spreadOf(costs)
	if o.json {
		return writeJSON(o.out, map[string]any{"broadcast": room, "echo": both, "cpu_per_delivery_over_echo": q})
	}
	if err := table(o.out, room, both); err != nil {
		return err
	}
	_, err := fmt.Fprintf(o.out, "\nserver CPU a delivery / an echo, run by run: %.2f [%.2f - %.2f]\n", q.Median, q.Lowest, q.Highest)
	return err
}

// roomOnce measures the deliveries of a room; play, if not nil, is what the
// players do meanwhile. It is called for a tenth of a second at a time.
func (o *options) roomOnce(p peer, r *report, play func(*stage)) (f figures, errs load.Counts, err error) {
	s, err := o.open(p)
	if err != nil {
		return f, errs, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if play == nil {
		play = func(s *stage) { s.fleet.Idle(100 * time.Millisecond) }
	}
	if _, err := s.server.Do("push"); err != nil {
		return f, errs, err
	}
	for end := time.Now().Add(o.warmup); time.Now().Before(end); {
		play(s)
	}
	if err := s.profile(true); err != nil {
		return f, errs, err
	}
	before, err := s.server.Do("status")
	if err != nil {
		return f, errs, err
	}
	s.fleet.Reset()
	from, err := s.costs()
	if err != nil {
		return f, errs, err
	}
	for end := time.Now().Add(o.duration); time.Now().Before(end); {
		play(s)
	}
	to, err := s.costs()
	if err != nil {
		return f, errs, err
	}
	hist, errs := s.fleet.Result()
	after, err := s.server.Do("status")
	if err != nil {
		return f, errs, err
	}
	if err := s.profile(false); err != nil {
		return f, errs, err
	}
	f = s.figures(hist, from, to)
	f.deliveries(s.fleet.Pushes(), from, to, &before, &after)
	r.Curve = s.fleet.Pushes().Curve()
	if errs.Sum() > 0 {
		s.explain(errs, after)
	}
	return f, errs, nil
}

func (f *figures) deliveries(got *load.Histogram, from, to costs, before, after *server.Status) {
	f.traffic(0, before, after)
	n := float64(got.Count())
	if n == 0 {
		return
	}
	f.Deliveries, f.DeliveriesPerS = n, n/to.at.Sub(from.at).Seconds()
	f.CPUPerDelivery = float64((to.server - from.server).Nanoseconds()) / 1e3 / n
	f.DeliveryP50, f.DeliveryP99, f.DeliveryMax = us(got.Quantile(0.5)), us(got.Quantile(0.99)), us(got.Max())
	f.AllocsPerDeliv = float64(after.Mallocs-before.Mallocs) / n
	f.TickOverrunMs = after.Game.Overrun
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func (o *options) mixedFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.Sessions, "sessions", 500, "players, all in one room")
	fs.Float64Var(&o.Room, "rate", 20, "requests a second that each player sends, and ticks of the room")
	fs.IntVar(&o.Config.Size, "size", 60, "bytes of a request")
	fs.IntVar(&o.Options.Size, "down", 400, "bytes that each tick sends to each player")
	fs.Float64Var(&o.cuts, "cuts", 1, "percent of the players whose link is cut in each second")
	fs.DurationVar(&o.duration, "duration", 10*time.Second, "length of a window")
	fs.DurationVar(&o.warmup, "warmup", 2*time.Second, "load before the window")
	fs.IntVar(&o.runs, "runs", 3, "runs, each with a server of its own")
	o.coreFlags(fs)
}

// mixed is what a game does: everybody sends at a rate, whether answers come or
// not, the room tells everybody everything, and links break all the time.
func mixed(o *options) error {
	o.Return, o.Route, o.Game, o.Rate = true, "count", true, o.Room*float64(o.Sessions)
	return o.alone(func(p peer, r *report) (figures, load.Counts, error) {
		owed, cut := 0.0, 0
		f, errs, err := o.roomOnce(p, r, func(s *stage) {
			owed += float64(o.Sessions) * o.cuts / 100 / 10
			if n := int(owed); n > 0 {
				s.fleet.CutSome(n)
				owed -= float64(n)
				cut += n
			}
			s.fleet.Play(100 * time.Millisecond)
		})
		f.Cuts = float64(cut)
		return f, errs, err
	})
}
