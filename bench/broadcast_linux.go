// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/lifeline-go/lifeline/bench/load"
	"github.com/lifeline-go/lifeline/framework/client/swarm/chart"
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
// tick, and in turn with it two echoes of the same players: as fast as it goes,
// which is what a message costs at best, and as many a second as the room
// delivers, which is what it costs a server that has as little to do.
func broadcast(o *options) error {
	p := peer{"lifeline", o.Config}
	paced := p
	paced.load.Rate = o.Room * float64(o.Sessions)
	room, full, even := o.report(p), o.report(p), o.report(p)
	room.Server, full.Server, even.Server = "lifeline broadcast", "lifeline echo", "lifeline echo at its rate"
	o.Options.Size, o.Game = o.Config.Size, true
	ticks, files := o.Room, o.profiles
	for range o.runs {
		o.Room, o.profiles = ticks, files
		f, errs, err := o.roomOnce(p, room, func(s *stage) { s.fleet.Idle(100 * time.Millisecond) })
		if err != nil {
			return err
		}
		room.add(f, errs)
		o.Room, o.profiles = 0, profiles{} // it is the room's that is wanted
		for _, echo := range []struct {
			peer
			*report
		}{{p, full}, {paced, even}} {
			if f, errs, err = o.echoOnce(echo.peer, echo.report); err != nil {
				return err
			}
			echo.add(f, errs)
		}
	}
	delivery, message := func(f *figures) float64 { return f.CPUPerDelivery }, func(f *figures) float64 { return f.ServerCPUPerMsg }
	q, r := over(room, full, delivery, message), over(room, even, delivery, message)
	if o.json {
		return writeJSON(o.out, map[string]any{"broadcast": room, "echo": full, "echo_at_its_rate": even,
			"cpu_per_delivery_over_echo": q, "cpu_per_delivery_over_echo_at_its_rate": r})
	}
	if err := table(o.out, room, full, even); err != nil {
		return err
	}
	_, err := fmt.Fprintf(o.out, "\nserver CPU a delivery, run by run: / an echo %.2f [%.2f - %.2f], / an echo at its rate %.2f [%.2f - %.2f]\n",
		q.Median, q.Lowest, q.Highest, r.Median, r.Lowest, r.Highest)
	return err
}

// roomOnce measures the deliveries of a room. play is what the players do
// meanwhile, for a tenth of a second at a time.
func (o *options) roomOnce(p peer, r *report, play func(*stage)) (f figures, errs load.Counts, err error) {
	s, err := o.open(p)
	if err != nil {
		return f, errs, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if _, err := s.server.Do("push"); err != nil {
		return f, errs, err
	}
	do := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); {
			play(s)
		}
	}
	do(o.warmup)
	w, err := s.window(do, o.duration)
	if err != nil {
		return f, errs, err
	}
	f = s.figures(&w)
	f.deliveries(s.pushes(), &w)
	r.Curve = s.pushes().Curve()
	return f, w.errs, nil
}

func (f *figures) deliveries(got *chart.Histogram, w *window) {
	n := float64(got.Count())
	if n == 0 {
		return
	}
	if w.messages == 0 { // else it is all mixed
		alone := *w
		alone.messages = got.Count()
		f.traffic(&alone)
	}
	f.Deliveries, f.DeliveriesPerS = n, n/w.seconds()
	f.CPUPerDelivery = us(w.to.server-w.from.server) / n
	f.DeliveryP50, f.DeliveryP99, f.DeliveryMax = us(got.Quantile(0.5)), us(got.Quantile(0.99)), us(got.Max())
	f.AllocsPerDeliv = float64(w.after.Mallocs-w.before.Mallocs) / float64(w.pushes)
	f.TickOverrunMs = w.after.Game.Overrun
}

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
